"""Asks once for all who want to know something in the same pass of the event loop: the busier, the fewer questions."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BatchLoader(Generic[K, V]):
    """``ask`` gets the different keys, at most ``most`` at once, and returns what it found of them.

    What it raises, all who wait for that question get.
    """

    def __init__(self, load: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]], most: int) -> None:
        self._load = load
        self._most = most
        self._keys: dict[K, None] = {}  # of the next question
        self._next: asyncio.Task[Mapping[K, V]] | None = None

    async def get(self, key: K) -> V | None:
        """Return what there is for ``key`` after this call, or None."""
        if self._next is None or len(self._keys) >= self._most:
            self._keys = {}
            # It begins behind whatever is ready to run now, which may add its keys until then.
            self._next = asyncio.create_task(self._load_batch(self._keys))
        self._keys[key] = None
        found = await asyncio.shield(self._next)  # whoever goes away leaves the others their answer
        return found.get(key)

    async def _load_batch(self, keys: Mapping[K, None]) -> Mapping[K, V]:
        self._next = None
        return await self._load([*keys])
