"""Runs what is to be done for one client: one thing at a time, in order, and no more waiting than allowed."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

Call = Callable[[], Awaitable[None] | None]


class Inbox:
    """A call that returns nothing to await costs no task."""

    __slots__ = ("_failed", "_limit", "_task", "_waiting")

    def __init__(self, limit: int, failed: Callable[[Exception], None]) -> None:
        self._limit = limit
        self._failed = failed
        self._task: asyncio.Task[None] | None = None
        self._waiting: deque[Call] | None = None  # made when first needed: most clients never wait

    def put(self, call: Call) -> bool:
        """Call now, or after what is running; False where too many wait already."""
        if self._task is None:
            awaitable = self._begin(call)
            if awaitable is not None:
                self._task = asyncio.get_running_loop().create_task(self._run(awaitable))
            return True
        if self._waiting is None:
            self._waiting = deque()
        if len(self._waiting) >= self._limit:
            return False
        self._waiting.append(call)
        return True

    def cancel(self) -> None:
        """Cancel what is running and forget what waits."""
        self._waiting = None
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    def _begin(self, call: Call) -> Awaitable[None] | None:
        try:
            return call()
        except Exception as error:  # noqa: BLE001  # a fault of one handler must not cost the connection, nor the loop
            self._failed(error)
            return None

    async def _run(self, awaitable: Awaitable[None]) -> None:
        following: Awaitable[None] | None = awaitable
        try:
            while following is not None:
                try:
                    await following
                except Exception as error:  # noqa: BLE001  # as in _begin
                    self._failed(error)
                following = self._next()
        finally:
            self._task = None

    def _next(self) -> Awaitable[None] | None:
        while self._waiting:
            awaitable = self._begin(self._waiting.popleft())
            if awaitable is not None:
                return awaitable
        self._waiting = None
        return None
