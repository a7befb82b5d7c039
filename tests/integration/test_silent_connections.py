"""Connections that send nothing, or half a request: they keep no client out, and are soon cut off."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from time import monotonic

import aiohttp
import pytest

from tests.conftest import RunService
from tests.service_process import ServiceProcess
from tests.waiting import cancel_all, until

# Each is sent, and then nothing more; all must be cut off, with no more than a few seconds' grace.
HALVES = {
    "nothing": b"",
    "one byte": b"G",
    "half a head": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n",
    "half a handshake": b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nUpgrade: websocket\r\n",
    "half a body, of a path that there is not": b"POST /no HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx",
    "half a body, of a path that takes none": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx",
    "half a chunk": b"POST /readyz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nx",
    "half a body that is refused": (
        b"POST /api/orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nx"
    ),
}
LATEST = 20.0  # seconds; a head has 10, and so has the rest of a body that is not read


async def held(port: int, first: bytes, *, trickle: bytes = b"") -> float:
    """Say ``first``, then perhaps a little every now and then; return how long the connection was kept."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = monotonic()
    writer.write(first)

    async def trickling() -> None:
        while trickle:
            writer.write(trickle)
            await asyncio.sleep(0.5)

    task = asyncio.create_task(trickling())
    try:
        async with asyncio.timeout(3 * LATEST):
            with suppress(ConnectionError):
                while await reader.read(1000):
                    pass
        return monotonic() - began
    finally:
        await cancel_all(task)
        writer.close()


async def test_a_client_that_does_not_finish_its_request_is_cut_off(
    run_service: RunService, mongodb_uri: str, redis_url: str
) -> None:
    settings = {"MONGODB_URI": mongodb_uri, "REDIS_URL": redis_url}
    services = [await run_service(service, settings, wait=False) for service in ("gateway", "watcher")]
    await asyncio.gather(*(cuts_off(process) for process in services))


async def cuts_off(process: ServiceProcess) -> None:
    await until(lambda: process.status("/healthz"), "it answers")
    kept = await asyncio.gather(
        *(held(process.port, first) for first in HALVES.values()),
        held(process.port, b"GET / HTTP/1.1\r\n", trickle=b"X: y\r\n"),
        held(process.port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", trickle=b"G"),
    )
    names = [*HALVES, "a head that trickles in", "a second request that trickles in"]
    late = {name: seconds for name, seconds in zip(names, kept, strict=True) if seconds > LATEST}
    assert late == {}, process.name


@pytest.mark.parametrize("first", [b"", b"GET /healthz HTTP/1.1\r\n"], ids=["silent", "half a request"])
async def test_silent_connections_keep_no_client_out_however_few_descriptors_there_are(
    run_service: RunService, mongodb_uri: str, redis_url: str, first: bytes
) -> None:
    settings = {"MONGODB_URI": mongodb_uri, "REDIS_URL": redis_url}
    gateway = await run_service("gateway", settings, wait=False, descriptors=256)
    await until(lambda: gateway.status("/healthz"), "the gateway answers")
    assert "The limit of file descriptors allows fewer clients than MAX_CONNECTIONS" in gateway.output
    async with silent(gateway, 400, first), aiohttp.ClientSession(gateway.url) as session:
        for _ in range(20):
            async with session.get("/healthz", headers={"Connection": "close"}) as answer:
                assert answer.status == 200
        assert await gateway.metric('orders_gateway_connections{state="silent"}') > 100
        assert await gateway.metric("orders_gateway_connections_limit") < 256
        assert await gateway.metric('orders_gateway_incidents_total{kind="evicted"}') > 200
        assert gateway.output.count("Connections are refused or evicted to make room") == 1
    await until(lambda: "There is room for connections again" in gateway.output, "it says that it is over")


async def test_idle_connections_keep_no_client_out_either(
    run_service: RunService, mongodb_uri: str, redis_url: str
) -> None:
    settings = {"MONGODB_URI": mongodb_uri, "REDIS_URL": redis_url}
    gateway = await run_service("gateway", settings, wait=False, descriptors=256)
    await until(lambda: gateway.status("/healthz"), "the gateway answers")
    async with silent(gateway, 400, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"):
        assert await gateway.status("/healthz") == 200


@asynccontextmanager
async def silent(process: ServiceProcess, count: int, first: bytes) -> AsyncIterator[None]:
    """Hold so many connections that have sent no more than ``first``."""
    async with AsyncExitStack() as stack:
        for _ in range(count):
            _, writer = await asyncio.open_connection("127.0.0.1", process.port)
            stack.callback(writer.close)
            writer.write(first)
        yield
