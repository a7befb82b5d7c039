"""The product with AUTH=jwt as processes: a prepared database, a watcher, and as many gateways as a test wants."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from redis.asyncio import Redis

from services.commands.setup_db import setup
from services.embedded.ports import free_port
from tests.access.tokens import SETTINGS
from tests.servers import Servers, unused_database, with_database
from tests.service_process import ServiceProcess

Orders = AsyncCollection[dict[str, Any]]


@dataclass
class Guarded:
    """The collection, and a way to start services on it."""

    orders: Orders
    redis_url: str
    environment: dict[str, str]
    folder: Path
    stack: AsyncExitStack

    async def start(self, service: str, **settings: str) -> ServiceProcess:
        port = free_port()
        variable = {"gateway": "PORT", "watcher": "WATCHER_PORT"}[service]
        process = ServiceProcess(
            service=service,
            port=port,
            folder=self.folder,
            settings={**self.environment, variable: str(port), **settings},
        )
        self.stack.push_async_callback(process.stop)
        self.stack.callback(lambda: print(f"--- {process.log.name}\n{process.output}"))  # noqa: T201
        await process.start()
        return process

    async def gateway(self, **settings: str) -> ServiceProcess:
        return await self.start("gateway", **{**SETTINGS, "DRAIN_SECONDS": "0.2", **settings})

    async def watcher(self, **settings: str) -> ServiceProcess:
        return await self.start("watcher", LEASE_SECONDS="1", **settings)


@asynccontextmanager
async def guarded_on(servers: Servers, folder: Path) -> AsyncIterator[Guarded]:
    name = f"access_{secrets.token_hex(6)}"
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
        yield Guarded(client.get_default_database()["orders"], redis_url, environment, folder, stack)


@pytest.fixture
async def guarded(session_servers: Servers, tmp_path: Path) -> AsyncIterator[Guarded]:
    async with guarded_on(session_servers, tmp_path) as product:
        yield product


@dataclass
class Gate:
    """A gateway that nothing but requests changes, shared by the tests of a module."""

    url: str
    process: ServiceProcess
    orders: Orders
    product: Guarded


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate(session_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gate]:
    async with guarded_on(session_servers, tmp_path_factory.mktemp("gate")) as product:
        await product.watcher()
        gateway = await product.gateway()
        yield Gate(gateway.url, gateway, product.orders, product)
