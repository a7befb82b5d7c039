"""A thousand pages that load at once cost MongoDB a handful of reads, and each reads its own writes."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, TypeVar

import aiohttp
import pytest

from tests.access.tokens import bearer, token
from tests.service_process import ServiceProcess
from tests.snapshots.conftest import Scene
from tests.snapshots.followers import EVENTS, UNLIMITED
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

T = TypeVar("T")
PENDING = {"customer_name": "Ada", "product_name": "thing", "status": "pending"}


class Crowd:
    """Clients whose requests are sent to a frozen gateway, so that it finds all at once on a busy machine, too."""

    def __init__(self, gateway: ServiceProcess) -> None:
        self._gateway = gateway
        self._sent = 0
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(self._count)
        connector = aiohttp.TCPConnector(limit=0)
        self.session = aiohttp.ClientSession(timeout=UNLIMITED, connector=connector, trace_configs=[trace])

    async def ask(self, requests: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
        """Send the requests, and return their results once the gateway answers."""
        self._gateway.pause()
        asked = [asyncio.create_task(request) for request in requests]
        try:
            await until(lambda: self._sent == len(asked), "all requests are sent", 60)
        finally:
            self._gateway.resume()
        return await asyncio.gather(*asked)

    async def _count(self, *_: object) -> None:
        self._sent += 1


@asynccontextmanager
async def crowd_of(gateway: ServiceProcess) -> AsyncIterator[Crowd]:
    crowd = Crowd(gateway)
    async with crowd.session:
        yield crowd


@asynccontextmanager
async def reading(scene: Scene, most: int) -> AsyncIterator[None]:
    """Fail if MongoDB is sent more queries in a second: a crowd that is served slowly may have more in all."""
    before, began = await scene.finds(), monotonic()
    yield
    seconds = monotonic() - began
    assert await scene.finds() - before <= most * max(1.0, seconds), f"in {seconds:.1f} s"


async def test_a_thousand_equal_lists_at_once_cost_a_handful_of_reads(emptied: Scene) -> None:
    await emptied.orders.insert_many([{**PENDING, "number": number} for number in range(100)])
    async with crowd_of(emptied.gateways[0]) as crowd:

        async def load() -> list[Any]:
            async with crowd.session.get(f"{emptied.urls[0]}/api/orders?limit=100") as reply:
                assert reply.status == 200
                return [reply.headers["Stream-Cursor"], await reply.text()]

        async with reading(emptied, 10):
            answers = await crowd.ask([load() for _ in range(1000)])
    assert len({body for _, body in answers}) == 1
    assert answers[0][1].count('"_id"') == 100


async def test_a_thousand_snapshots_at_once_cost_a_handful_of_reads(emptied: Scene) -> None:
    await emptied.orders.insert_many([{**PENDING, "number": number} for number in range(100)])
    gateway = await emptied.start("gateway", MAX_CONNECTIONS_PER_ADDRESS="2000")
    async with crowd_of(gateway) as crowd:

        async def follow() -> int:
            async with crowd.session.get(f"{gateway.url}/api/orders", headers=EVENTS) as reply:
                assert reply.status == 200
                found = 0
                async for line in reply.content:
                    found += line.count(b'"_id"')
                    if line.startswith(b"event: live"):
                        break
                return found

        async with reading(emptied, 20):  # each has two: the second finds that there are no more
            assert await crowd.ask([follow() for _ in range(500)]) == [100] * 500


async def test_rights_are_never_shared_with_other_rights(emptied: Scene) -> None:
    gateway = await emptied.guarded()
    names = ["Ada", "Eve", "Grace"]
    await emptied.orders.insert_many([{**PENDING, "customer_name": name} for name in names for _ in range(20)])
    async with crowd_of(gateway) as crowd:

        async def load(name: str) -> set[str]:
            headers = bearer(token(name, rights={"customer_name": name}))
            async with crowd.session.get(f"{gateway.url}/api/orders?limit=100", headers=headers) as reply:
                orders = await reply.json()
                assert len(orders) == 20
                return {order["customer_name"] for order in orders}

        async with reading(emptied, 100):  # a few share each: to verify a token takes as long as MongoDB to answer
            answers = await crowd.ask([load(names[number % 3]) for number in range(300)])
        assert answers == [{names[number % 3]} for number in range(300)]


async def test_everyone_reads_their_own_writes_in_a_crowd(emptied: Scene) -> None:
    url = f"{emptied.urls[0]}/api/orders"
    async with aiohttp.ClientSession(timeout=UNLIMITED, connector=aiohttp.TCPConnector(limit=0)) as session:

        async def write_and_read(number: int) -> None:
            for attempt in range(5):
                async with session.post(url, json={**PENDING, "customer_name": f"{number} {attempt}"}) as reply:
                    assert reply.status == 201
                async with session.get(f"{url}?limit=500") as reply:
                    names = {order["customer_name"] for order in await reply.json()}
                    assert f"{number} {attempt}" in names

        await asyncio.gather(*(write_and_read(number) for number in range(40)))
