"""Runs one client's calls one at a time and in order, with a bounded queue."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple

Failed = Callable[[Exception], object]


class Call(NamedTuple):
    """`begin()` may return an awaitable; its result goes to `then` before the next call begins.

    `size` is how many bytes the client has sent for it.
    """

    begin: Callable[[], object]
    failed: Failed
    then: Callable[[Any], object] | None = None
    size: int = 0


class SerialQueue:
    """A call that does not return an awaitable costs no task."""

    __slots__ = ("_limit", "_most_bytes", "_running", "_waiting")

    def __init__(self, limit: int, most_bytes: int) -> None:
        self._limit = limit
        self._most_bytes = most_bytes
        self._running: asyncio.Future[object] | None = None
        self._waiting: deque[Call] | None = None  # created when first needed: most clients never queue a call

    def put(self, call: Call) -> bool:
        """Begin now, or after the calls before it; False where too many wait already."""
        if self._running is None:
            self._start(call)
            return True
        if self._waiting is None:
            self._waiting = deque()
        # Summed each time: calls wait rarely, and few of them.
        if len(self._waiting) >= self._limit or sum(each.size for each in self._waiting) + call.size > self._most_bytes:
            return False
        self._waiting.append(call)
        return True

    def cancel(self) -> None:
        """Cancel the running call and drop the waiting ones."""
        self._waiting = None
        if self._running is not None and self._running is not asyncio.current_task():
            self._running.cancel()

    def _start(self, call: Call | None) -> None:
        while call is not None:
            following = None
            try:
                result = call.begin()
            except Exception as error:  # noqa: BLE001  # an error in one handler must not cost the connection or the loop
                call.failed(error)
            else:
                if result is not None and isinstance(result, Awaitable):
                    # The awaitable itself is the task: one that is cancelled before it has begun must not begin.
                    self._running = asyncio.ensure_future(result)
                    self._running.add_done_callback(partial(self._done, call))
                    return
                following = _following(call, result)
            call = following or self._next()

    def _done(self, call: Call, future: "asyncio.Future[object]") -> None:
        self._running = None
        following = None
        if not future.cancelled():
            error = future.exception()
            if isinstance(error, Exception):
                call.failed(error)
            else:
                following = _following(call, future.result())
        self._start(following or self._next())

    def _next(self) -> Call | None:
        if self._waiting:
            return self._waiting.popleft()
        self._waiting = None
        return None


def _following(call: Call, result: object) -> Call | None:
    return None if call.then is None else Call(partial(call.then, result), call.failed)
