"""A program of ours as a child process that writes to the common terminal."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.embedded.process import Process
from services.embedded.server import describe_exit
from services.embedded.terminal import Terminal


@dataclass(eq=False, kw_only=True)
class Program:
    """`start` returns at once; `wait` returns when it has ended and its last line is written."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    terminal: Terminal
    _process: Process | None = field(default=None, init=False)
    _relay: asyncio.Task[None] | None = field(default=None, init=False)

    @classmethod
    def module(cls, name: str, module: str, env: Mapping[str, str], terminal: Terminal, *arguments: str) -> "Program":
        """Return the program `python -m module`, in the Python that runs us."""
        # Otherwise its lines would reach the terminal in blocks of some kilobytes.
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
        """What to type in order to end it as a crash would."""
        return f"kill -9 {self.pid}"

    async def wait(self) -> int:
        """Return its exit code."""
        if self._process is None or self._relay is None:
            raise RuntimeError(f"{self.name} was never started")
        await asyncio.shield(
            self._relay
        )  # first: if it fails, nobody reads what the program writes, and it stands still
        return await self._process.wait()

    async def stop(self) -> None:
        """End it by SIGTERM, and write what it says to that."""
        if self._process is not None and self._relay is not None:
            await self._process.stop()
            await self._relay

    def obituary(self) -> str:
        """Say how it has ended; why is what it wrote before."""
        code = None if self._process is None else self._process.returncode
        return f"{self.name} {'ended' if code is None else describe_exit(code)}"
