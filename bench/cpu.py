"""CPU time and memory of processes, and stolen time of the machine, as the operating system accounts them."""

import asyncio
import os
import signal
from collections.abc import Iterable
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the user and system time that the processes have used; to the nanosecond where Linux accounts it so."""
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
    return cpu_seconds_with_ended_threads(pid)


def cpu_seconds_with_ended_threads(pid: int) -> float:
    """Return the same for a process whose threads come and go, such as one for each connection; in hundredths."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def resident_bytes(pid: int) -> int:
    """Return the process's own memory: the memory that it shares with others is not a cost of its clients."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no RssAnon in /proc")


async def collected_bytes(pid: int) -> int:
    """Return the same, for Node after a forced garbage collection; Python frees memory at once."""
    if _is_node(pid):
        os.kill(pid, signal.SIGUSR2)
        await asyncio.sleep(1)
    return resident_bytes(pid)


class Stolen:
    """Steal time since this object was made: CPU time that this machine requested and others got."""

    def __init__(self, accounts: Path = Path("/proc/stat")) -> None:
        self._accounts = accounts
        self._before = self._read()

    def share(self) -> float:
        """Return its share from 0 to 1; 0 where the operating system does not report it."""
        used, stolen = (now - then for now, then in zip(self._read(), self._before, strict=True))
        return stolen / (used + stolen) if stolen else 0.0

    def _read(self) -> tuple[int, int]:
        try:
            user, nice, system, _idle, _iowait, irq, softirq, stolen, *_ = (
                int(field) for field in self._accounts.read_text().split("\n", 1)[0].split()[1:]
            )
        except (OSError, ValueError):
            return 0, 0
        return user + nice + system + irq + softirq, stolen


def _is_node(pid: int) -> bool:
    return Path(f"/proc/{pid}/comm").read_text().startswith("node")
