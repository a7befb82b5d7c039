"""The servers, services and clients among which the causes of alerts are brought about."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from redis.asyncio import Redis

from services.embedded.ports import free_port
from services.embedded.server import EmbeddedServer
from tests.alerts.front import in_front_of
from tests.alerts.prometheus import Prometheus
from tests.deploy.haproxy import HAProxy
from tests.faults.oplog import SMALL
from tests.faults.stack import DATABASE, Shape, Stack
from tests.service_process import ServiceProcess
from tests.waiting import meanwhile

GATEWAYS = 2
PLACES = 12  # of each gateway
# Limits that a few clients reach, and times that pass within a scenario.
_SHAPE = Shape(
    members=1,
    watchers=2,
    gateways=GATEWAYS,
    mongod=SMALL,
    settings={
        "LEASE_SECONDS": "2",
        "LOG_MAX_EVENTS": "100",
        "BATCH_MAX_EVENTS": "1",
        "RING_EVENTS": "20",
        "REPLAY_MAX_AGE_SECONDS": "1",
        "STALE_SECONDS": "2",
        "CLIENT_STALL_SECONDS": "1",
        "MAX_CONNECTIONS": str(PLACES),
        "MAX_MONGODB_REQUESTS": "4",
        "DRAIN_SECONDS": "0",
    },
)


@dataclass(frozen=True)
class Scene:
    """What a cause may break, and the Prometheus that is to notice."""

    stack: Stack
    front: HAProxy
    prometheus: Prometheus
    orders: AsyncCollection[dict[str, Any]]

    @property
    def redis(self) -> Redis:
        return Redis.from_url(self.stack.valkey.uri())

    def find_all(self) -> None:
        """Let Prometheus find all services."""
        self.prometheus.find("gateway", [each.admin_url for each in self.stack.gateways])
        self.prometheus.find("watcher", [each.admin_url for each in self.stack.watchers])
        self.prometheus.find("loadbalancer", [self.front.metrics_url])

    async def start_all(self) -> None:
        """Start whatever does not run."""
        for service in [*self.stack.watchers, *self.stack.gateways]:
            if not service.running:
                await service.start()


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    """Run everything meanwhile."""
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(Stack(folder / "stack", _SHAPE))
        front = await stack.enter_async_context(in_front_of(services.gateways[0].port, folder))
        port = free_port()
        prometheus = Prometheus(folder=folder / "prometheus", port=port, gateways=GATEWAYS)
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(services.mongodb_uri)
        await stack.enter_async_context(client)
        made = Scene(services, front, prometheus, client[DATABASE]["orders"])
        made.find_all()
        await stack.enter_async_context(prometheus)
        yield made


@asynccontextmanager
async def mostly_frozen(server: EmbeddedServer, frozen: float, running: float) -> AsyncIterator[None]:
    """Freeze a process again and again, so that it is as slow as on an overloaded machine."""

    async def take_turns() -> None:
        while True:
            server.pause()
            await asyncio.sleep(frozen)
            server.resume()
            await asyncio.sleep(running)

    try:
        async with meanwhile(take_turns()):
            yield
    finally:
        server.resume()


@asynccontextmanager
async def writing(orders: AsyncCollection[dict[str, Any]], per_second: float) -> AsyncIterator[None]:
    """Write orders to MongoDB meanwhile."""

    async def write() -> None:
        number = 0
        while True:
            number += 1
            await orders.insert_one({"product_name": f"Number {number}", "status": "pending"})
            await asyncio.sleep(1 / per_second)

    async with meanwhile(write()):
        yield


async def resume_from(gateway: ServiceProcess, cursor: str, clients: int) -> None:
    """Let so many clients come back with this cursor."""
    async with aiohttp.ClientSession() as session:
        for _ in range(clients):
            async with session.get(f"{gateway.url}/api/orders/events", params={"since": cursor}) as stream:
                while b"event: connected" not in await stream.content.readline():
                    pass


@asynccontextmanager
async def streams(url: str, count: int) -> AsyncIterator[None]:
    """Keep so many streams open."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        for _ in range(count):
            opened = await stack.enter_async_context(session.get(f"{url}/api/orders/events"))
            assert opened.status == 200, opened.status
            await asyncio.sleep(0.05)  # no faster than HAProxy lets one address
        yield


async def asked(url: str, path: str, pause: float = 0.1) -> None:
    """Send GETs, whatever the answers are, until cancelled."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=8)) as session:
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with session.get(f"{url}{path}") as response:
                    await response.content.readany()
            await asyncio.sleep(pause)


async def deaf_streams(gateway: ServiceProcess, orders: AsyncCollection[dict[str, Any]]) -> None:
    """Open streams that read nothing while large orders are written, again and again, until cancelled."""
    address = urlsplit(gateway.url)
    request = f"GET /api/orders/events HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode()
    while True:
        deaf = [socket.socket() for _ in range(6)]
        try:
            for each in deaf:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                each.setblocking(False)
                await asyncio.get_running_loop().sock_connect(each, (address.hostname, address.port))
                await asyncio.get_running_loop().sock_sendall(each, request)
            await asyncio.sleep(0.5)
            for _ in range(6):
                await orders.insert_one({"product_name": "x" * 200_000, "status": "pending"})
            await asyncio.sleep(2.5)
        finally:
            for each in deaf:
                each.close()
