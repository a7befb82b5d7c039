"""Real gateways come and go behind the load balancer, and no request is refused meanwhile."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.deploy.balanced import Stack, balanced_stack
from tests.deploy.orders import making_orders
from tests.servers import Servers, unused_database, with_database
from tests.waiting import cancel_all, until

READERS = 4
BETWEEN = 0.02


@dataclass
class Reads:
    """The statuses of all reading requests, and what went wrong with those that have none."""

    statuses: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def refused(self) -> list[object]:
        return [*(status for status in self.statuses if status != 200), *self.failures]


@asynccontextmanager
async def reading(url: str) -> AsyncIterator[Reads]:
    """Ask for the list and the page meanwhile, each time on a connection of its own."""
    reads = Reads()

    async def read(path: str) -> None:
        while True:
            try:
                timeout = aiohttp.ClientTimeout(total=30)
                async with aiohttp.ClientSession(timeout=timeout) as http, http.get(url + path) as response:
                    reads.statuses.append(response.status)
            except (aiohttp.ClientError, TimeoutError) as error:
                reads.failures.append(repr(error))
            await asyncio.sleep(BETWEEN)

    tasks = [asyncio.create_task(read(path)) for path in ("/api/orders?limit=5", "/") * (READERS // 2)]
    try:
        yield reads
    finally:
        await cancel_all(*tasks)


async def take_part(stack: Stack, count: int) -> None:
    async def seen() -> bool:
        return await stack.front.up("rest") == count

    await until(seen, f"{count} gateways are ready", 120)


async def test_no_request_is_refused_while_gateways_come_go_crash_and_freeze(
    tmp_path: Path, session_servers: Servers
) -> None:
    settings = {
        "MONGODB_URI": with_database(session_servers.mongodb_uri, f"test_{secrets.token_hex(6)}"),
        "REDIS_URL": await unused_database(session_servers.redis_url),
        "DRAIN_SECONDS": "1",
    }
    async with (
        balanced_stack(tmp_path, settings, gateways=6, started=1) as stack,
        reading(stack.url) as reads,
        making_orders(stack.url, per_second=20) as orders,
    ):
        first, *others = stack.gateways
        for gateway in others:  # 1 → 6: listed before they listen
            await gateway.launch()
        await take_part(stack, 6)
        await asyncio.gather(*(gateway.stop() for gateway in others[1:]))  # → 2
        await take_part(stack, 2)
        await others[1].launch()  # an update: the new one beside the old one
        await take_part(stack, 3)
        await first.stop()
        await take_part(stack, 2)
        assert orders.refused == []
        await until(lambda: len(reads.statuses) > 1000, "a thousand requests were answered", 60)
        assert reads.refused == []

        others[0].pause()
        await take_part(stack, 1)
        await asyncio.sleep(1)
        others[0].resume()
        await take_part(stack, 2)
        await others[0].kill()
        await take_part(stack, 1)
        await asyncio.sleep(1)
        assert reads.refused == []
        # A write that was in flight has an unknown outcome, and is not sent again.
        assert len(orders.refused) <= 4 * 2
