"""Runs one of our programs as a child process that writes to the shared terminal."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.embedded.process import Process
from services.embedded.server import describe_exit
from services.embedded.terminal import Terminal


@dataclass(eq=False, kw_only=True)
class Program:
    """`start` returns at once; `wait` returns when the program has ended and its last line is written."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    terminal: Terminal
    _process: Process | None = field(default=None, init=False)
    _relay: asyncio.Task[None] | None = field(default=None, init=False)

    @classmethod
    def module(cls, name: str, module: str, env: Mapping[str, str], terminal: Terminal, *arguments: str) -> "Program":
        """Return the program `python -m module`, run by the current Python."""
        # Otherwise its lines would reach the terminal in blocks of several kilobytes.
        unbuffered = {**env, "PYTHONUNBUFFERED": "1"}
        return cls(name=name, argv=[sys.executable, "-m", module, *arguments], env=unbuffered, terminal=terminal)

    async def start(self) -> None:
        self._process = await Process.start(self.argv, log=None, env=self.env)
        self._relay = asyncio.create_task(self.terminal.relay(self.name, self._process.output))

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process.pid

    @property
    def kill_command(self) -> str:
        """The command that kills it, as a crash would."""
        return f"kill -9 {self.pid}"

    async def wait(self) -> int:
        """Return its exit code."""
        if self._process is None or self._relay is None:
            raise RuntimeError(f"{self.name} was never started")
        # First: if it fails, nothing reads the program's output any more, and the program blocks.
        await asyncio.shield(self._relay)
        return await self._process.wait()

    async def stop(self) -> None:
        """Stop it by SIGTERM, and write its last lines."""
        if self._process is not None and self._relay is not None:
            await self._process.stop()
            await self._relay

    def exit_reason(self) -> str:
        """Return how it ended; its output says why."""
        code = None if self._process is None else self._process.returncode
        return f"{self.name} {'ended' if code is None else describe_exit(code)}"
