"""Keeps programs running: one that dies is reported and restarted; at the end all stop in reverse order."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Protocol, Self

from services.common.error_text import error_text
from services.embedded.errors import EmbeddedError


class Part(Protocol):
    """A supervised process: an `EmbeddedServer` or a `Program`."""

    name: str

    async def start(self) -> None: ...
    async def wait(self) -> int: ...
    async def stop(self) -> None: ...
    def exit_reason(self) -> str: ...
    @property
    def kill_command(self) -> str: ...


@dataclass(frozen=True)
class Backoff:
    """The pause before a restart: it doubles, and is reset by a run of `healthy_after` seconds."""

    first: float = 0.5
    longest: float = 10.0
    healthy_after: float = 10.0

    def next(self, last: float | None, ran_for: float) -> float:
        """Return the pause that follows a pause of `last` and a run of `ran_for` seconds."""
        if last is None or ran_for >= self.healthy_after:
            return self.first
        return min(2 * last, self.longest)


class Supervisor:
    """Used by `async with`; leaving it stops every part."""

    def __init__(self, report: Callable[[str], None], backoff: Backoff | None = None) -> None:
        self._report = report
        self._backoff = backoff or Backoff()
        self._stack = AsyncExitStack()
        self._parts: list[Part] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def keep(self, part: Part) -> None:
        """Start `part`, and restart it whenever it ends; raise EmbeddedError if the first start fails."""
        self._stack.push_async_callback(part.stop)
        await part.start()
        task = asyncio.create_task(self._keep(part))
        self._parts.append(part)
        self._tasks.append(task)
        self._stack.push_async_callback(_cancel, task)  # before the stop above, or that would look like a crash

    def kill_commands(self) -> str:
        """Return the commands that kill each part, as a crash would."""
        return ", ".join(f"{part.name} `{part.kill_command}`" for part in self._parts)

    async def watch(self) -> None:
        """Never return; raise errors of the supervision itself, so that it does not end silently."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def _keep(self, part: Part) -> None:
        pause: float | None = None
        while True:
            began = time.monotonic()
            await part.wait()
            reason = part.exit_reason()
            started = False
            while not started:
                pause = self._backoff.next(pause, time.monotonic() - began)
                self._report(f"{reason}; starting it again in {pause:g} s")
                await asyncio.sleep(pause)
                began = time.monotonic()
                try:
                    await part.start()
                    started = True
                    self._report(f"{part.name} runs again (kill it: `{part.kill_command}`)")
                except EmbeddedError as error:
                    reason = error_text(error)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
