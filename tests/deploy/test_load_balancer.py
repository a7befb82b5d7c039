"""The load balancer on real processes: while they stop and start, no client misses a change or gets one twice."""

import json
import secrets
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from tests.deploy.audience import Audience, audience
from tests.deploy.balanced import Stack, balanced_stack
from tests.deploy.orders import create, making_orders
from tests.servers import Servers, unused_database, with_database

DRAIN_SECONDS = 1.0
# The client waits up to a second before it comes back, and the load balancer one for an address that is gone.
LONGEST_OUTAGE = 5.0
CROWD = {
    **{f"polling-{number}": ["polling"] for number in range(4)},
    **{f"websocket-{number}": ["websocket"] for number in range(8)},
    **{f"upgrade-{number}": ["polling", "websocket"] for number in range(8)},
    **{f"sse-{number}": ["sse"] for number in range(4)},
}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory, session_servers: Servers) -> AsyncIterator[Stack]:
    """One for all tests here, because six processes take their time; each leaves it whole."""
    settings = {
        "MONGODB_URI": with_database(session_servers.mongodb_uri, f"test_{secrets.token_hex(6)}"),
        "REDIS_URL": await unused_database(session_servers.redis_url),
        "DRAIN_SECONDS": str(DRAIN_SECONDS),
    }
    async with balanced_stack(tmp_path_factory.mktemp("balanced"), settings) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client


async def open_session(session: aiohttp.ClientSession, url: str) -> str:
    async with session.get(f"{url}/socket.io/?EIO=4&transport=polling") as response:
        sid: str = json.loads((await response.text())[1:])["sid"]
        return sid


async def test_each_request_of_a_polling_session_reaches_the_gateway_that_opened_it(
    stack: Stack, session: aiohttp.ClientSession
) -> None:
    opened_by = set()
    for _ in range(30):
        sid = await open_session(session, stack.url)
        opened_by.add(sid.rpartition(".")[2])
        for packet in ("40", "1"):  # join, then leave
            async with session.post(
                f"{stack.url}/socket.io/?EIO=4&transport=polling&sid={sid}", data=packet
            ) as response:
                assert (response.status, await response.text()) == (200, "ok")
    assert opened_by == {gateway.name for gateway in stack.gateways}


async def test_a_session_whose_gateway_is_gone_is_refused_at_once_and_not_left_waiting(
    stack: Stack, session: aiohttp.ClientSession
) -> None:
    for stranger in ("gateway-99", "localhost", "no-such-name"):
        url = f"{stack.url}/socket.io/?EIO=4&transport=polling&sid=abc.{stranger}"
        async with session.get(url) as response:
            assert response.status == 400
            assert (await response.json(content_type=None))["message"] == "Session ID unknown"


async def test_metrics_are_not_public(stack: Stack, session: aiohttp.ClientSession) -> None:
    async with session.get(f"{stack.url}/metrics") as response:
        assert response.status == 404


async def test_clients_notice_the_kill_of_a_gateway_only_as_a_short_pause(
    stack: Stack, session: aiohttp.ClientSession
) -> None:
    async with audience(stack.url, CROWD) as crowd, making_orders(stack.url, per_second=80) as orders:
        victim = stack.gateway(crowd.heard["polling-0"].servers[0])
        await victim.kill()
        await until_none_is_at(crowd, victim.name)
        await victim.start()
        await check(stack, session, crowd, orders.acknowledged)


async def test_a_gateway_that_drains_refuses_no_request_and_its_clients_leave_one_by_one(
    stack: Stack, session: aiohttp.ClientSession
) -> None:
    async with audience(stack.url, CROWD) as crowd, making_orders(stack.url, per_second=80) as orders:
        leaver = stack.gateway(crowd.heard["websocket-0"].servers[0])
        moved = [heard for heard in crowd.heard.values() if heard.servers[-1] == leaver.name]
        await leaver.stop()
        await until_none_is_at(crowd, leaver.name)
        await check(stack, session, crowd, orders.acknowledged)
        assert orders.refused == []
        losses = [heard.losses[0] for heard in moved]
        # One after the other over the drain time, or all would come back at once.
        assert len(losses) < 3 or max(losses) - min(losses) > DRAIN_SECONDS / 4
    await leaver.start()


async def test_a_rolling_restart_under_load_loses_nothing_and_refuses_nothing(
    stack: Stack, session: aiohttp.ClientSession
) -> None:
    async with audience(stack.url, CROWD) as crowd, making_orders(stack.url, per_second=80) as orders:
        for process in (*stack.watchers, *stack.gateways):
            await process.restart()
        await check(stack, session, crowd, orders.acknowledged)
        assert orders.refused == []
        assert all(heard.outages for heard in crowd.heard.values()), "everybody was moved at least once"


async def until_none_is_at(crowd: Audience, gateway: str) -> None:
    """Wait until the clients of this gateway are connected to another one."""
    await crowd.until(
        lambda: all(heard.servers[-1] != gateway for heard in crowd.heard.values()),
        "the clients of the gateway that went are connected elsewhere",
    )


async def check(stack: Stack, session: aiohttp.ClientSession, crowd: Audience, acknowledged: list[str]) -> None:
    """Wait for one more change to reach all clients, then check each client's events of all changes before."""
    last = await create(session, stack.url, 0)
    acknowledged = [*acknowledged, last]
    await crowd.until_all_have(acknowledged)
    assert crowd.faults(acknowledged) == []
    outages = [seconds for heard in crowd.heard.values() for seconds in heard.outages]
    assert max(outages, default=0) < LONGEST_OUTAGE, crowd.summary()
