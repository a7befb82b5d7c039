"""Which cores the server under test and everything else run on, so that they do not take each other's time."""

import os
import shutil
from contextlib import suppress
from pathlib import Path


def prefix(*, server: bool) -> list[str]:
    """Return what to put before a command line; nothing where there is one core only, or no taskset."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    if len(cores) < 2 or shutil.which("taskset") is None:
        return []
    chosen = cores[:1] if server else cores[1:]
    return ["taskset", "--cpu-list", ",".join(map(str, chosen))]


def leave_to_server(pid: int) -> None:
    """Move a process that runs already, all its threads, to where everything but the server under test is."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    if len(cores) > 1:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(ProcessLookupError):  # a thread may end meanwhile
                os.sched_setaffinity(int(task.name), cores[1:])
