"""Which requests a gateway says it is ready for, while something is missing, it is full, or it is told to stop."""

import asyncio
import os
import resource
import signal
from contextlib import AsyncExitStack

import aiohttp
import pytest

from services.commands.setup_db import setup
from tests.conftest import OwnMongod, OwnValkey, RunService
from tests.e2e.clients import Listener, curl, node
from tests.e2e.conftest import Product
from tests.service_process import ROOT, ServiceProcess
from tests.waiting import until

ORDER = {"customer_name": "Ada", "product_name": "Tea", "status": "pending"}


async def becomes(gateway: ServiceProcess, rest: int, stream: int) -> None:
    """Await these answers to the two questions of a load balancer."""

    async def says() -> bool:
        return (await gateway.status("/readyz"), await gateway.status("/readyz/stream")) == (rest, stream)

    await until(says, f"/readyz {rest}, /readyz/stream {stream}")


def is_stale(listener: Listener, reason: str | None) -> bool:
    return [status["reason"] for status in listener.named("status")][-1:] == [reason]


async def test_without_redis_rest_goes_on_and_streams_are_stale(
    mongodb_uri: str, own_valkey: OwnValkey, run_service: RunService
) -> None:
    await asyncio.to_thread(lambda: list(setup(mongodb_uri)))
    valkey = await own_valkey()
    settings = {"MONGODB_URI": mongodb_uri, "REDIS_URL": valkey.uri(), "STALE_SECONDS": "2"}
    await run_service("watcher", {**settings, "LEASE_SECONDS": "1"})
    gateway = await run_service("gateway", settings)
    events = f"{gateway.url}/api/orders/events"
    async with AsyncExitStack() as clients, aiohttp.ClientSession(gateway.url) as http:
        early = await clients.enter_async_context(curl(events))
        await becomes(gateway, rest=200, stream=200)
        valkey.pause()
        await becomes(gateway, rest=200, stream=503)
        async with http.post("/api/orders", json=ORDER) as written:
            assert written.status == 201
        async with http.get("/api/orders") as listed:
            assert (listed.status, len(await listed.json())) == (200, 1)
        # Whoever is sent here all the same is served what there is, is told that it is old, and needs nothing later.
        late = [await clients.enter_async_context(client) for client in (curl(events), node(gateway.url))]
        await until(lambda: all(is_stale(one, "redis_unreachable") for one in (early, *late)), "all are told")
        assert await gateway.status("/readyz") == 200
        valkey.resume()
        await becomes(gateway, rest=200, stream=200)
        for one in (early, *late):
            assert (await one.has(1))[0]["data"]["product_name"] == "Tea"
            await until(lambda: is_stale(one, None), "it is told that this is over")  # noqa: B023
            assert not one.named("resync")


async def test_a_full_gateway_is_ready_for_requests_and_not_for_streams(product: Product) -> None:
    await product.watcher()
    gateway = await product.gateway(MAX_CONNECTIONS="40")
    async with aiohttp.ClientSession(gateway.url, connector=aiohttp.TCPConnector(limit=0)) as http:
        streams = [await http.get("/api/orders/events") for _ in range(39)]
        await becomes(gateway, rest=200, stream=200)
        streams.append(await http.get("/api/orders/events"))
        assert {stream.status for stream in streams} == {200}
        await becomes(gateway, rest=200, stream=503)
        async with http.get("/api/orders/events") as refused:
            assert refused.status == 503
        async with http.get(f"{gateway.admin_url}/readyz") as reply:
            assert reply.status == 200
            body = await reply.json()
            assert (body["rest"], body["stream"], body["checks"]["room"]) == ("ready", "unready", "full: 40 clients")

        async def clients() -> float:
            return await gateway.metric("orders_gateway_admitted_connections")

        async def has(count: int) -> None:
            async def same() -> bool:
                return await clients() == count

            await until(same, f"{count} clients are left")

        streams.pop().close()
        await has(39)
        assert await gateway.status("/readyz/stream") == 503  # one place would be taken before the next check
        streams.pop().close()
        await becomes(gateway, rest=200, stream=200)
        for stream in streams:
            stream.close()


async def test_a_gateway_without_descriptors_is_not_ready_for_streams(product: Product) -> None:
    await product.watcher()
    gateway = await product.gateway()
    limits = resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE)
    async with AsyncExitStack() as stack:
        # The gateway makes room by closing 32 idle connections a second: these, and ours not yet.
        others = [await stack.enter_async_context(aiohttp.ClientSession(gateway.url)) for _ in range(40)]
        for other in others:
            async with other.get("/healthz"):
                pass
        http = await stack.enter_async_context(aiohttp.ClientSession(gateway.url))

        async def says(stream: int) -> bool:
            async with http.get("/readyz/stream") as streams:
                pass
            async with http.get("/readyz") as rest:
                return (rest.status, streams.status) == (200, stream)

        assert await says(200)
        resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (10, limits[1]))  # no file can be opened
        try:
            await until(lambda: says(503), "not ready for streams")
        finally:
            resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, limits)
    await becomes(gateway, rest=200, stream=200)


async def test_a_health_check_waits_for_nothing_and_slow_is_no_outage(
    own_mongod: OwnMongod, redis_url: str, run_service: RunService
) -> None:
    mongod = await own_mongod()
    await asyncio.to_thread(lambda: list(setup(mongod.uri("orders"))))
    settings = {"MONGODB_URI": mongod.uri("orders"), "REDIS_URL": redis_url}
    watcher = await run_service("watcher", {**settings, "LEASE_SECONDS": "5"})
    gateway = await run_service("gateway", settings)
    mongod.pause()
    try:
        # Asked while MongoDB says nothing, they would be late or wrong.
        for service in (gateway, watcher):
            for _ in range(20):
                assert await service.status("/readyz") == 200
    finally:
        mongod.resume()
    async with aiohttp.ClientSession(gateway.url) as http, http.get("/api/orders") as listed:
        assert listed.status == 200
    assert "does not answer" not in gateway.output
    mongod.pause()
    try:
        await becomes(gateway, rest=503, stream=200)
        assert gateway.output.count("MongoDB does not answer") == 1
    finally:
        mongod.resume()
    await becomes(gateway, rest=200, stream=200)


@pytest.mark.parametrize("clients", [0, 1])
async def test_before_a_gateway_stops_it_serves_on_and_says_that_it_is_not_ready(
    product: Product, clients: int
) -> None:
    await product.watcher()
    gateway = await product.gateway(DRAIN_DELAY_SECONDS="600", DRAIN_SECONDS="0")
    events = f"{gateway.url}/api/orders/events"
    async with AsyncExitStack() as stack, aiohttp.ClientSession(gateway.url) as http:
        early = [await stack.enter_async_context(curl(events)) for _ in range(clients)]
        os.kill(gateway.pid, signal.SIGTERM)
        await becomes(gateway, rest=503, stream=503)
        late = await stack.enter_async_context(curl(events))
        async with http.post("/api/orders", json=ORDER) as written:
            assert written.status == 201
        for one in (*early, late):
            await one.has(1)
        assert await gateway.status("/healthz") == 200
        os.kill(gateway.pid, signal.SIGTERM)
        assert await gateway.wait() == 0


async def test_the_delay_before_the_drain_ends_by_itself(product: Product) -> None:
    await product.watcher()
    gateway = await product.gateway(DRAIN_DELAY_SECONDS="1")
    os.kill(gateway.pid, signal.SIGTERM)
    await becomes(gateway, rest=503, stream=503)
    assert await gateway.wait() == 0
    assert "Closing connections" in gateway.output


async def test_the_health_check_of_the_containers_agrees(product: Product) -> None:
    async def healthy(*arguments: str) -> bool:
        check = await asyncio.create_subprocess_exec(
            "bash",
            ROOT / "services/commands/healthcheck.sh",
            *arguments,
            env={"ADMIN_PORT": str(gateway.admin_port)},
            stderr=asyncio.subprocess.DEVNULL,
        )
        return await check.wait() == 0

    gateway = await product.run("gateway", product.environment, wait=False)
    await until(lambda: gateway.status("/healthz"), "it runs")
    assert not await healthy(), "there is no stream yet"
    watcher = await product.watcher()
    await until(healthy, "it works")
    assert await healthy(str(watcher.port))
    await gateway.kill()
    assert not await healthy()
