"""What the operating system says of processes: their CPU time and memory."""

import asyncio
import os
import signal
from collections.abc import Iterable
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the user and system time that the processes have used; to the nanosecond where Linux keeps it so."""
    return sum(_cpu_seconds(pid) for pid in pids)


def _cpu_seconds(pid: int) -> float:
    try:
        # Of each thread: time on the CPU, time waiting for it, and number of turns.
        tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
        spent = [int(task.read_text().split()[0]) for task in tasks]
    except (OSError, IndexError):
        spent = []
    if spent and any(spent):
        return sum(spent) / 1e9
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def resident_bytes(pid: int) -> int:
    """Return the memory that is the process's own: what it shares with others is not what its clients cost."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no RssAnon in /proc")


async def collected_bytes(pid: int) -> int:
    """Return the same after a process of Node was told to collect its garbage; Python's is collected as it falls."""
    if _is_node(pid):
        os.kill(pid, signal.SIGUSR2)
        await asyncio.sleep(1)
    return resident_bytes(pid)


def _is_node(pid: int) -> bool:
    return Path(f"/proc/{pid}/comm").read_text().startswith("node")
