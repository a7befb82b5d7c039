"""A child process that dies with its parent, and that can be stopped, killed or frozen."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Self

from services.embedded.errors import EmbeddedError

_PR_SET_PDEATHSIG = 1
# Loaded here, not in the child: between fork and exec only calls that need no lock are safe.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
# The log of earlier runs is kept for reading, up to this size.
_LOG_LIMIT = 8 << 20


class Process:
    """One run of a program, created by `Process.start`; its output goes to a file or to `output`."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self._child = child

    @classmethod
    async def start(
        cls, argv: Sequence[str], *, log: Path | None, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> Self:
        """Start `argv` with `env` added to our environment; output goes to `log`, or without one to `output`."""
        with contextlib.ExitStack() as stack:
            target = asyncio.subprocess.PIPE if log is None else stack.enter_context(_open_log(log)).fileno()
            try:
                child = await asyncio.create_subprocess_exec(
                    *argv,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=target,
                    stderr=asyncio.subprocess.STDOUT,
                    env={**os.environ, **(env or {})},
                    cwd=cwd,
                    process_group=0,  # Ctrl-C in the terminal reaches only us: we stop the children in order
                    preexec_fn=_DieWithParent(os.getpid()),
                )
            except OSError as error:
                message = f"{argv[0]} cannot be started: {error.strerror}."
                raise EmbeddedError(message) from error
        return cls(child)

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def kill_command(self) -> str:
        return f"kill -9 {self.pid}"

    @property
    def returncode(self) -> int | None:
        """The exit code, the negative number of the signal that killed it, or None while it runs."""
        return self._child.returncode

    @property
    def output(self) -> asyncio.StreamReader:
        """The output of a child that was started without a log."""
        if self._child.stdout is None:
            raise RuntimeError("this process writes to its log")
        return self._child.stdout

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless the child has ended (another process may have its pid by now)."""
        if self._child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._child.send_signal(number)

    async def wait(self) -> int:
        return await self._child.wait()

    async def stop(self, grace: float = 15.0) -> int:
        """Send SIGTERM, and SIGKILL after `grace` seconds; return the exit code."""
        self.send(signal.SIGCONT)  # a frozen child would never handle the next signal
        self.send(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace):
                return await self.wait()
        except TimeoutError:
            return await self.kill()

    async def kill(self) -> int:
        self.send(signal.SIGKILL)
        return await self.wait()


class _DieWithParent:
    """Runs in the child before its program: has the kernel kill it when we die, even by `kill -9`."""

    def __init__(self, parent: int) -> None:
        self._parent = parent

    def __call__(self) -> None:
        if _LIBC is None:
            return
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self._parent:  # the parent died before the line above
            os._exit(1)


def _open_log(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    too_long = path.exists() and path.stat().st_size > _LOG_LIMIT
    return path.open("wb" if too_long else "ab")
