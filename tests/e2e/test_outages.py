"""MongoDB or Redis is missing at the start, or goes away: the services stay up, report it once, and recover."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp
from pymongo import AsyncMongoClient

from services.commands.setup_db import setup
from services.embedded.mongod import Mongod
from services.embedded.valkey import Valkey
from tests.conftest import OwnMongod, OwnValkey, RunService
from tests.e2e.clients import Listener, curl, node
from tests.e2e.conftest import Product
from tests.service_process import ServiceProcess
from tests.waiting import until


async def ready(service: ServiceProcess) -> tuple[int, dict[str, Any]]:
    async with aiohttp.ClientSession() as http, http.get(f"{service.admin_url}/readyz") as reply:
        return reply.status, json.loads(await reply.text())


async def misses(service: ServiceProcess, *names: str) -> None:
    """Await that it says that exactly these are missing."""

    async def said() -> bool:
        try:
            status, body = await ready(service)
        except aiohttp.ClientError:
            return False
        wrong = {name for name, answer in body["checks"].items() if answer != "ok"}
        return wrong == set(names) and status == (503 if names else 200)

    await until(said, f"{service.name} misses {names}")


def complaints(service: ServiceProcess, what: str) -> int:
    return service.output.count(f"{what} failed, retrying")


async def test_services_that_start_before_their_servers_wait_for_them(
    own_mongod: OwnMongod, own_valkey: OwnValkey, run_service: RunService, free_port: Callable[[], int]
) -> None:
    mongod, valkey = await own_mongod(), await own_valkey()
    await asyncio.to_thread(lambda: list(setup(mongod.uri("orders"))))
    await mongod.stop()
    await valkey.stop()
    environment = {"MONGODB_URI": mongod.uri("orders"), "REDIS_URL": valkey.uri(), "LOG_FORMAT": "console"}
    watcher = await run_service("watcher", {**environment, "LEASE_SECONDS": "1"}, wait=False)
    gateway = await run_service("gateway", environment, wait=False)
    await misses(gateway, "mongodb", "collection", "redis")
    await until(lambda: complaints(watcher, "mongodb") > 0, "the watcher misses MongoDB")
    assert (await ready(watcher))[0] == 503

    await _redis_comes_back(valkey, gateway)
    await mongod.start()
    await misses(watcher)
    await misses(gateway)
    async with (
        curl(f"{gateway.url}/api/orders/events") as stream,
        AsyncMongoClient[dict[str, Any]](mongod.uri("orders")) as client,
    ):
        await client["orders"]["orders"].insert_one({})
        await stream.has(1)
    for service, what in ((watcher, "mongodb"), (gateway, "redis")):
        assert complaints(service, what) == 1, service.output
        assert "Traceback" not in service.output


async def _redis_comes_back(valkey: Valkey, gateway: ServiceProcess) -> None:
    await valkey.start()

    async def waits_for_the_watcher() -> bool:
        _, body = await ready(gateway)
        return "watcher" in body["checks"]["redis"]

    await until(waits_for_the_watcher, "the gateway waits for the watcher")


async def test_servers_that_go_away_and_come_back_cost_no_change(
    own_mongod: OwnMongod, own_valkey: OwnValkey, run_service: RunService
) -> None:
    mongod: Mongod = await own_mongod()
    valkey = await own_valkey()
    await asyncio.to_thread(lambda: list(setup(mongod.uri("orders"))))
    environment = {"MONGODB_URI": mongod.uri("orders"), "REDIS_URL": valkey.uri(), "LOG_FORMAT": "console"}
    watcher = await run_service("watcher", {**environment, "LEASE_SECONDS": "1"})
    gateway = await run_service("gateway", environment)
    async with node(gateway.url) as client, AsyncMongoClient[dict[str, Any]](mongod.uri("orders")) as mongo:
        orders = mongo["orders"]["orders"]
        ids = [str((await orders.insert_one({})).inserted_id)]
        await valkey.kill()
        await misses(gateway, "redis")
        ids.append(str((await orders.insert_one({})).inserted_id))
        await valkey.start()
        await misses(gateway)
        await client.has(2)
        await mongod.kill()
        await mongod.start()
        ids.append(str((await orders.insert_one({})).inserted_id))
        await client.has(3)
        assert [each["id"] for each in client.updates] == ids
        assert client.named("resync") == []
        assert client.heard("disconnect") == []
    assert watcher.running


async def test_a_gateway_that_is_told_to_stop_closes_its_clients_and_ends_well(product: Product) -> None:
    watcher = await product.watcher()
    gateway = await product.gateway()
    async with node(gateway.url) as client, curl(f"{gateway.url}/api/orders/events") as stream:
        await gateway.stop()
        assert await gateway.wait() == 0
        await until(lambda: client.heard("disconnect"), "the client is told")
        assert client.heard("disconnect")[0]["reason"] in {"transport close", "transport error"}
        assert stream.named("connected")
    await watcher.stop()
    assert await watcher.wait() == 0
    for service in (gateway, watcher):
        assert "Stopped" in service.output
        assert "Traceback" not in service.output


async def _told(listener: Listener, reason: str | None) -> None:
    def last() -> dict[str, Any]:
        statuses = listener.named("status")
        return {} if not statuses else {name: statuses[-1][name] for name in ("stale", "reason")}

    await until(lambda: last() == {"stale": reason is not None, "reason": reason}, f"the client is told {reason}")


async def test_clients_are_told_when_and_why_they_may_see_old_orders_and_when_that_ends(
    own_mongod: OwnMongod, own_valkey: OwnValkey, run_service: RunService
) -> None:
    mongod, valkey = await own_mongod(), await own_valkey()
    await asyncio.to_thread(lambda: list(setup(mongod.uri("orders"))))
    environment = {"MONGODB_URI": mongod.uri("orders"), "REDIS_URL": valkey.uri(), "STALE_SECONDS": "2"}
    watcher = await run_service("watcher", {**environment, "LEASE_SECONDS": "1"})
    gateway = await run_service("gateway", environment)
    events = f"{gateway.url}/api/orders/events?status=shipped"
    async with node(gateway.url) as client, curl(events) as stream:
        assert client.named("status") == stream.named("status") == []
        await watcher.stop()
        async with asyncio.TaskGroup() as group:
            for listener in (client, stream):
                group.create_task(_told(listener, "watcher_silent"))
        await misses(gateway, "redis")
        async with curl(events) as newcomer:
            await _told(newcomer, "watcher_silent")
        await watcher.start()
        for listener in (client, stream):
            await _told(listener, None)
        await valkey.kill()
        for listener in (client, stream):
            await _told(listener, "redis_unreachable")
        await valkey.start()
        for listener in (client, stream):
            await _told(listener, None)
        assert client.named("resync") == stream.named("resync") == []
