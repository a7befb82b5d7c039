"""Which cores the server under test and everything else run on, so that they do not take each other's time."""

import os
import shutil


def prefix(*, server: bool) -> list[str]:
    """Return what to put before a command line; nothing where there is one core only, or no taskset."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    if len(cores) < 2 or shutil.which("taskset") is None:
        return []
    chosen = cores[:1] if server else cores[1:]
    return ["taskset", "--cpu-list", ",".join(map(str, chosen))]
