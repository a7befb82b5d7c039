"""Without MongoDB: who is revoked stays out, and a gateway that never read who is revoked lets nobody in."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp

from tests.access.conftest import Guarded, guarded_on
from tests.access.revocations import ask, revoke
from tests.access.test_doors import knock
from tests.access.tokens import SETTINGS, bearer, token
from tests.access.viewers import TRANSPORTS, viewer
from tests.conftest import OwnMongod
from tests.servers import Servers
from tests.service_process import ServiceProcess
from tests.waiting import until


async def status(url: str, text: str) -> int | None:
    """Return how a stream is answered; None while nobody listens."""
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{url}/api/orders/events", headers=bearer(text)) as response,
        ):
            return response.status
    except aiohttp.ClientConnectionError:
        return None


async def test_gateways_keep_what_they_know_and_let_nobody_in_before(
    session_servers: Servers, own_mongod: OwnMongod, tmp_path: Path
) -> None:
    mongod = await own_mongod()
    good, bad = token("ada", rights="*"), token("eve", rights="*")
    async with guarded_on(Servers(mongod.uri(), session_servers.redis_url), tmp_path) as product:
        knowing = gateway_of(product)
        await knowing.launch()
        await until(lambda: knowing.status("/healthz"), "it listens")
        await revoked_while_they_wait_for_the_stream(product, knowing, bad)
        async with viewer(knowing.url, "websocket", good) as shown:
            mongod.pause()
            unknowing = gateway_of(product)  # only now: its port is free until it listens
            await unknowing.launch()
            assert await knock(knowing.url, "sse", bad) == "token_revoked"
            assert await status(knowing.url, good) == 200
            assert (await ask(knowing.url, json={"subject": "ada"}))[0] == 503
            assert not shown.is_over
            await until(lambda: unknowing.status("/healthz"), "it listens")
            assert await status(unknowing.url, good) == 503
            assert await knock(unknowing.url, "websocket", good) == "unavailable"
            assert await unknowing.status("/readyz/stream") == 503
            mongod.resume()
            await until(lambda: _is(unknowing.url, good, 200), "it lets people in")
            assert await status(unknowing.url, bad) == 401
            assert unknowing.output.count("revocations failed, retrying") == 1
            assert unknowing.output.count("revocations works again") == 1


def gateway_of(product: Guarded) -> ServiceProcess:
    return product.make("gateway", **SETTINGS)


async def revoked_while_they_wait_for_the_stream(product: Guarded, gateway: ServiceProcess, text: str) -> None:
    """They were let in, and are not connected yet: there is no watcher."""

    async def told(way: str) -> Any:
        async with viewer(gateway.url, way, text) as shown:
            return await shown.has("ended")

    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(told(way)) for way in TRANSPORTS]
        await until(lambda: _held(gateway, len(TRANSPORTS)), "they have been let in")
        await revoke(gateway.url, subject="eve")
        await product.watcher()
    assert [each.result() for each in waiting] == [{"reason": "token_revoked"}] * len(TRANSPORTS)


async def _held(gateway: ServiceProcess, clients: int) -> bool:
    return await gateway.metric("orders_gateway_admitted_connections") == clients


async def _is(url: str, text: str, expected: int) -> bool:
    return await status(url, text) == expected
