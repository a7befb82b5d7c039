"""A client that requests orders at a steady pace, as pages do: `python -m bench.load.visitor URL ADDRESS`."""

import asyncio
import sys
from time import perf_counter
from typing import Any

import aiohttp

from bench.load.commands import serve
from bench.load.latency import percentile

PAUSE = 0.015  # seconds between an answer and the next request
PATIENCE = aiohttp.ClientTimeout(total=20)
LIST = "/api/orders?limit=50"


class Visitor:
    """Requests lists over a keep-alive connection, and single orders over new ones, from the address ``source``."""

    def __init__(self, url: str, source: str) -> None:
        self._url = url
        self._source = (source, 0)

    async def visit(self, seconds: float) -> dict[str, Any]:
        """Send requests for so long; return the 99th percentile of their times, and how many failed."""
        waits: list[float] = []
        failed = 0
        until = perf_counter() + seconds
        async with (
            self._session(force_close=False) as kept,
            self._session(force_close=True) as new,
        ):
            one = f"/api/orders/{(await self._get(kept, LIST))[0]['_id']}"
            while perf_counter() < until:
                started = perf_counter()
                try:
                    await (self._get(new, one) if len(waits) % 2 else self._get(kept, LIST))
                except (aiohttp.ClientError, TimeoutError):
                    failed += 1
                waits.append(perf_counter() - started)
                await asyncio.sleep(PAUSE)
        return {"p99": percentile(sorted(waits), 0.99), "count": len(waits), "failed": failed}

    def _session(self, *, force_close: bool) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(local_addr=self._source, force_close=force_close)
        return aiohttp.ClientSession(self._url, timeout=PATIENCE, connector=connector)

    async def _get(self, session: aiohttp.ClientSession, path: str) -> Any:
        async with session.get(path, raise_for_status=True) as response:
            return await response.json()


if __name__ == "__main__":
    serve(Visitor(*sys.argv[1:]))
