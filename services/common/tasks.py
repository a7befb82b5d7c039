"""Runs the tasks of a service, under one rule: no task dies silently."""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, NoReturn, Protocol, Self, TypeVar

E = TypeVar("E", bound=BaseException)
Work = Coroutine[Any, Any, None]


class TaskEnded(Exception):
    """A task that should run as long as its service has ended; the cause is its error, if any."""


class Spawn(Protocol):
    """The type of `Tasks.spawn`, for callers that need nothing else."""

    def __call__(self, name: str, work: Work) -> None:
        """Run ``work`` concurrently with the caller."""


class Tasks:
    """A group of tasks, used by `async with`: no task outlives the block, however it ends.

    A kept task that ends by itself ends the group: no new task starts, the body of the `async with` is cancelled, and
    TaskEnded is raised with the task's name. Errors of the types ``expected`` are raised as they are.
    """

    def __init__(self, *expected: type[Exception]) -> None:
        self._expected = expected
        self._group = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()
        self._is_over = False
        self.has_failed = False

    def keep(self, name: str, work: Work) -> None:
        """Run a task that must not end before the group does."""
        self._start(name, work, self._keep(name, work))

    def spawn(self, name: str, work: Work) -> None:
        """Run a task that ends by itself, or with the group; its error ends the group, as above.

        So a task that serves one client must make sure that an error costs only that client.
        """
        self._start(name, work, self._spawn(name, work))

    async def forever(self) -> NoReturn:
        """Wait until cancelled, also by the end of a kept task, and also if that was before and went unnoticed."""
        raise_if_cancelled()
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
        task.add_done_callback(lambda _: work.close())  # a task cancelled before it starts never awaits its work

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
            if first is not error:  # which propagates by itself
                raise first from first.__cause__


async def _error_of(work: Work) -> BaseException | None:
    """Return the error that ``work`` raised. An unrequested cancellation is one, too; a requested one propagates."""
    try:
        await work
    except Exception as error:  # noqa: BLE001 - returned
        return error
    except asyncio.CancelledError as error:
        raise_if_cancelled()
        return error
    return None


def raise_if_cancelled() -> None:
    """Raise CancelledError if this task was cancelled but its last ``await`` swallowed that.

    Before Python 3.12, ``asyncio.wait_for``, which the drivers of MongoDB and Redis use for each command, may return a
    result that arrives at the same moment instead. A loop of such commands would never end.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def leaves(group: BaseExceptionGroup[E]) -> list[E]:
    """Return the errors of a group and of the groups within it: tasks of several groups may fail at once."""
    found: list[E] = []
    for error in group.exceptions:
        found += leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
