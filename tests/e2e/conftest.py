"""The whole product as processes: a prepared database, a watcher, and as many gateways as a test wants."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection

from services.commands.setup_db import setup
from tests.conftest import RunService
from tests.service_process import ServiceProcess

Orders = AsyncCollection[dict[str, Any]]


@dataclass
class Product:
    """The services that a test of the whole starts, and the collection that it writes to."""

    orders: Orders
    environment: dict[str, str]
    run: RunService

    async def watcher(self, **settings: str) -> ServiceProcess:
        return await self.run("watcher", {**self.environment, "LEASE_SECONDS": "1", **settings})

    async def gateway(self, **settings: str) -> ServiceProcess:
        return await self.run("gateway", {**self.environment, "DRAIN_SECONDS": "0.2", **settings})


@pytest.fixture
async def product(mongodb_uri: str, redis_url: str, run_service: RunService) -> AsyncIterator[Product]:
    await asyncio.to_thread(lambda: list(setup(mongodb_uri)))
    environment = {"MONGODB_URI": mongodb_uri, "REDIS_URL": redis_url, "LOG_FORMAT": "console"}
    async with AsyncMongoClient[dict[str, Any]](mongodb_uri) as client:
        yield Product(client.get_default_database()["orders"], environment, run_service)
