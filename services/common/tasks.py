"""Runs the tasks of a service, under one rule: none of them dies quietly."""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, NoReturn, Protocol, Self

Work = Coroutine[Any, Any, None]


class TaskEnded(Exception):
    """A task that was to run as long as its service has ended; the cause, if any, is what it raised."""


class Spawn(Protocol):
    """`Tasks.spawn`, for those who need nothing else of the tasks."""

    def __call__(self, name: str, work: Work) -> None:
        """Run ``work`` beside the caller."""


class Tasks:
    """A group of tasks, used by `async with`: when it is left, for whatever reason, none is left running.

    One that was to be kept and ends by itself ends the group: nothing begins any more, whatever runs in the `async
    with` is cancelled, and TaskEnded is raised, with the name. Errors of the types ``expected`` are raised as they are.
    """

    def __init__(self, *expected: type[Exception]) -> None:
        self._expected = expected
        self._group = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()
        self._is_over = False
        self.has_failed = False

    def keep(self, name: str, work: Work) -> None:
        """Run what must not end before the group does."""
        self._start(name, work, self._keep(name, work))

    def spawn(self, name: str, work: Work) -> None:
        """Run what ends by itself, or with the group; an error of it ends the group, as above.

        So what serves one client has to see to it that an error costs that client only.
        """
        self._start(name, work, self._spawn(name, work))

    async def forever(self) -> NoReturn:
        """Wait until cancelled, which the end of a task does too."""
        while True:
            await asyncio.get_running_loop().create_future()

    def _start(self, name: str, work: Work, watched: Work) -> None:
        if self._is_over:
            watched.close()
            work.close()
            return
        task = self._group.create_task(watched, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(lambda _: work.close())  # one that is cancelled before it has begun never begins

    async def _keep(self, name: str, work: Work) -> None:
        self._raise(name, await _error_of(work))

    async def _spawn(self, name: str, work: Work) -> None:
        error = await _error_of(work)
        if error is not None:
            self._raise(name, error)

    def _raise(self, name: str, error: BaseException | None) -> NoReturn:
        self.has_failed = self._is_over = True
        if isinstance(error, self._expected):
            raise error
        why = "it returned" if error is None else f"{type(error).__name__}: {error}"
        raise TaskEnded(f"the task {name!r} has ended: {why}") from error

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        for task in self._running:
            task.cancel()
        try:
            await self._group.__aexit__(kind, error, trace)
        except BaseExceptionGroup as group:
            [first, *others] = group.exceptions
            if others:
                raise
            if first is not error:  # else it goes on by itself
                raise first from first.__cause__


async def _error_of(work: Work) -> BaseException | None:
    """Return what it raised. A cancellation that nobody asked for is an error, too; one that was asked for goes on."""
    try:
        await work
    except Exception as error:  # noqa: BLE001 - returned
        return error
    except asyncio.CancelledError as error:
        raise_if_cancelled()
        return error
    return None


def raise_if_cancelled() -> None:
    """Raise CancelledError where this task was cancelled, but its last ``await`` did not say so.

    Before Python 3.12, ``asyncio.wait_for``, by which the drivers of MongoDB and Redis send each command, may return a
    result that came at the same moment instead. A loop of such commands would go on for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
