"""Which cores the server under test and everything else run on, so that they do not compete for CPU time."""

import os
import shutil
from contextlib import suppress
from pathlib import Path


def prefix(*, server: bool) -> list[str]:
    """Return the prefix of a command line that pins it; empty where there is only one core, or no taskset."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    if len(cores) < 2 or shutil.which("taskset") is None:
        return []
    chosen = cores[:1] if server else cores[1:]
    return ["taskset", "--cpu-list", ",".join(map(str, chosen))]


def leave_to_server(pid: int) -> None:
    """Move a running process, with all its threads, off the core of the server under test."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    if len(cores) > 1:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(ProcessLookupError):  # a thread may end meanwhile
                os.sched_setaffinity(int(task.name), cores[1:])
