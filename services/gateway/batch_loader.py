"""Coalesces what is asked for in one event loop pass into one query: the busier the gateway, the fewer queries."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BatchLoader(Generic[K, V]):
    """``load`` gets the distinct keys, at most ``limit`` at once, and returns what it found.

    An exception that it raises reaches every caller of that batch. Until ``gathered`` returns, more can join a batch.
    """

    def __init__(
        self,
        load: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]],
        limit: int,
        gathered: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._load = load
        self._limit = limit
        self._gathered = gathered
        self._keys: dict[K, None] = {}  # of the next batch
        self._next: asyncio.Task[Mapping[K, V]] | None = None

    async def get(self, key: K) -> V | None:
        """Return the value of ``key``, read after this call, or None."""
        if self._next is None or len(self._keys) >= self._limit:
            self._keys = {}
            # It runs after everything that is ready now, which can add keys until then.
            self._next = asyncio.create_task(self._load_batch(self._keys))
            self._next.add_done_callback(_retrieve)
        self._keys[key] = None
        found = await asyncio.shield(self._next)  # a cancelled caller must not cancel the others' batch
        return found.get(key)

    async def _load_batch(self, keys: Mapping[K, None]) -> Mapping[K, V]:
        if self._gathered is not None:
            await self._gathered()
        if self._keys is keys:  # else it is full, and the next one has begun
            self._next = None
        return await self._load([*keys])


def _retrieve(batch: "asyncio.Task[Any]") -> None:
    if not batch.cancelled():
        batch.exception()  # no error of ours where all callers have gone before it
