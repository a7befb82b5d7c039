"""Arrival times, and a way to wait for a number of them."""

import asyncio
from time import perf_counter


class Arrivals:
    """Collects times; `first(count)` returns when there are enough."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._wanted = 0
        self._enough = asyncio.Event()

    def came(self, count: int = 1, when: float | None = None) -> None:
        """Note that ``count`` items came, now or at ``when``."""
        self._times.extend([perf_counter() if when is None else when] * count)
        if self._wanted and len(self._times) >= self._wanted:
            self._enough.set()

    async def first(self, count: int) -> list[float]:
        """Return the times of the first ``count``; raise TimeoutError if they do not come."""
        self._wanted = count
        self.came(0)
        async with asyncio.timeout(30):
            await self._enough.wait()
        return self._times[:count]
