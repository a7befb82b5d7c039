"""A server process on a port, which can be started until ready, stopped, killed, and restarted on the same data."""

import asyncio
import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from services.embedded.errors import EmbeddedError
from services.embedded.ports import require_free
from services.embedded.process import Process

# Between two polls of a starting server; nothing announces that it is ready.
_POLL_SECONDS = 0.05
# The part of a log that is read to find out why its process ended.
_TAIL = 64 << 10


class EmbeddedServer(ABC):
    """The base of MongoDB, Valkey and the services; use it by `async with`, or call start and stop."""

    name: str
    port: int
    log: Path
    port_advice: str = "give it another port"  # what to do when the port is taken

    _process: Process | None = None
    _log_start: int = 0

    @abstractmethod
    def argv(self) -> list[str]:
        """The command line."""

    @abstractmethod
    async def answers(self) -> bool:
        """Return whether it is ready; also advance its set-up if it needs one."""

    def env(self) -> Mapping[str, str]:
        """Environment variables in addition to our own."""
        return {}

    def cwd(self) -> Path | None:
        """Its working directory; None means ours."""
        return None

    async def start(self, deadline: float = 45.0) -> None:
        """Start it and return when it answers; raise EmbeddedError when it ends or stays silent for `deadline` s."""
        await self.launch()
        try:
            await self.ready(deadline)
        except BaseException:
            await self.kill()
            raise

    async def launch(self) -> None:
        """Start it without waiting for an answer."""
        if self.running:
            raise RuntimeError(f"{self.name} runs already")
        # Otherwise `answers` could succeed with another server on our port before our process has failed.
        require_free(self.port, purpose=self.name, advice=self.port_advice)
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        self._process = await self.spawn()

    async def spawn(self) -> Process:
        """Start its process."""
        return await Process.start(self.argv(), log=self.log, env=self.env(), cwd=self.cwd())

    async def ready(self, deadline: float = 45.0) -> None:
        """Return when it answers; raise EmbeddedError when it ends or stays silent for `deadline` seconds."""
        end = time.monotonic() + deadline
        while not await self.answers():
            if not self.running:
                raise EmbeddedError(self.exit_reason())
            if time.monotonic() > end:
                message = (
                    f"{self.name} did not get ready on port {self.port} within {deadline:.0f} s; its log: {self.log}"
                )
                raise EmbeddedError(message)
            await asyncio.sleep(_POLL_SECONDS)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        return self._current().pid

    @property
    def kill_command(self) -> str:
        """The command that kills it, as a crash would."""
        return self._current().kill_command

    async def wait(self) -> int:
        """Wait for its end; return the exit code."""
        return await self._current().wait()

    async def stop(self) -> None:
        """Stop it gracefully (SIGTERM)."""
        if self._process is not None:
            await self._process.stop()

    async def kill(self) -> None:
        """Kill it without any cleanup (SIGKILL)."""
        if self._process is not None:
            await self._process.kill()

    async def restart(self) -> None:
        """Stop it and start it again on the same data."""
        await self.stop()
        await self.start()

    def pause(self) -> None:
        """Freeze it (SIGSTOP): its port still accepts, nothing answers."""
        self._current().send(signal.SIGSTOP)

    def resume(self) -> None:
        self._current().send(signal.SIGCONT)

    def exit_reason(self) -> str:
        """Return one sentence on why it ended, as far as its log shows."""
        code = self._current().returncode
        how = "ended" if code is None else describe_exit(code)
        if code in {-signal.SIGKILL, -signal.SIGTERM}:  # killed from outside, which its log does not show
            return f"{self.name} {how}"
        return f"{self.name} {how}: {'; '.join(self.error_lines()) or 'it wrote nothing'} (log: {self.log})"

    def error_lines(self) -> list[str]:
        """The lines of its log that best explain its end."""
        return self.last_lines(3)

    def last_lines(self, count: int) -> list[str]:
        """The last non-empty lines that this run has written."""
        try:
            with self.log.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(self._log_start if size >= self._log_start else 0, size - _TAIL))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return []
        return [line.strip() for line in lines if line.strip()][-count:]

    def _current(self) -> Process:
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


def describe_exit(code: int) -> str:
    """Describe how a process ended: "ended with code 1", "was killed by SIGKILL"."""
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
