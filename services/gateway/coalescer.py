"""Coalesces the calls of one event loop pass into one operation: the busier the gateway, the fewer operations."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Coalescer(Generic[K, V]):
    """``run`` gets the distinct keys of a batch, at most ``limit``, and returns the results by key.

    An exception that it raises reaches every caller of that batch. ``gathering`` delays a batch: until it returns, more
    calls join.
    """

    def __init__(
        self,
        run: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]],
        limit: int,
        gathering: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._run = run
        self._limit = limit
        self._gathering = gathering
        self._keys: dict[K, None] = {}  # of the next batch
        self._next: asyncio.Task[Mapping[K, V]] | None = None

    async def call(self, key: K) -> V | None:
        """Return the result for ``key`` of an operation that begins after this call; None where it has none."""
        if self._next is None or len(self._keys) >= self._limit:
            self._keys = {}
            # It runs after everything that is ready now, which can add keys until then.
            self._next = asyncio.create_task(self._run_batch(self._keys))
            self._next.add_done_callback(_retrieve)
        self._keys[key] = None
        found = await asyncio.shield(self._next)  # a cancelled caller must not cancel the others' batch
        return found.get(key)

    async def _run_batch(self, keys: Mapping[K, None]) -> Mapping[K, V]:
        if self._gathering is not None:
            await self._gathering()
        if self._keys is keys:  # else it is full, and the next one has begun
            self._next = None
        return await self._run([*keys])


def _retrieve(batch: "asyncio.Task[Any]") -> None:
    """Retrieve the error, or asyncio would report it as never retrieved where all callers were cancelled."""
    if not batch.cancelled():
        batch.exception()
