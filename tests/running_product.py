"""The product as processes on a prepared database of its own, and all of them ended together."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from redis.asyncio import Redis

from services.commands.setup_db import setup
from services.embedded.ports import free_port
from tests.forked_process import ForkedService
from tests.servers import Servers, unused_database, with_database
from tests.service_process import ServiceProcess

Orders = AsyncCollection[dict[str, Any]]
PORTS = {"gateway": "PORT", "watcher": "WATCHER_PORT"}


@dataclass
class RunningProduct:
    """The orders, and a way to start services on them."""

    orders: Orders
    redis: "Redis"
    redis_url: str
    environment: dict[str, str]
    folder: Path
    started: list[ServiceProcess] = field(default_factory=list)

    async def start(self, service: str, **settings: str) -> ServiceProcess:
        process = await self.launch(service, **settings)
        await process.ready()
        return process

    async def launch(self, service: str, **settings: str) -> ServiceProcess:
        """Start it, and do not wait until it is ready."""
        process = self.make(service, **settings)
        await process.launch()
        return process

    def make(self, service: str, **settings: str) -> ServiceProcess:
        """Return it unstarted."""
        settings = {PORTS[service]: str(free_port()), "DRAIN_SECONDS": "0.2", "LEASE_SECONDS": "1", **settings}
        port = int(settings[PORTS[service]])
        process = ForkedService(
            service=service, port=port, folder=self.folder, settings={**self.environment, **settings}
        )
        self.started.append(process)
        return process


R = TypeVar("R", bound=RunningProduct)


@asynccontextmanager
async def product_on(servers: Servers, folder: Path, kind: type[R]) -> AsyncIterator[R]:
    """Prepare a database for it, and drop that at the end."""
    name = f"test_{secrets.token_hex(6)}"
    redis_url = await unused_database(servers.redis_url)
    uri = with_database(servers.mongodb_uri, name)
    await asyncio.to_thread(lambda: list(setup(uri)))
    environment = {"MONGODB_URI": uri, "REDIS_URL": redis_url, "LOG_FORMAT": "console"}
    async with (
        Redis.from_url(redis_url) as redis,
        AsyncMongoClient[dict[str, Any]](uri) as client,
        AsyncExitStack() as stack,
    ):
        stack.push_async_callback(redis.flushdb)
        stack.push_async_callback(client.drop_database, name)
        product = kind(client.get_default_database()["orders"], redis, redis_url, environment, folder)
        stack.push_async_callback(end, product.started)
        yield product


async def end(started: Iterable[ServiceProcess]) -> None:
    """Kill all at once, for nobody looks at their end; pytest shows what they have written where the test fails."""
    await asyncio.gather(*(process.kill() for process in started))
    for process in started:
        print(f"--- {process.log.name}\n{process.output}")  # noqa: T201
