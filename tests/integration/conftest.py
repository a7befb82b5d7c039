"""Fixtures of several integration tests: a client of Redis, a prepared database that is watched, two REST replicas,
orders whose changes Redis has forgotten.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from services.commands.setup_db import setup
from services.embedded.mongod import Mongod
from services.embedded.ports import free_port
from services.embedded.valkey import Valkey
from tests.conftest import RunService
from tests.integration.fed_gateway import World
from tests.integration.past import Past, past_of
from tests.integration.replicas import Replicas, replicas_at
from tests.integration.watched_orders import Stack
from tests.log_entries import close_publishers
from tests.servers import Servers, new_mongod, with_database


@pytest.fixture(autouse=True)
async def _publishers_are_closed() -> AsyncIterator[None]:
    yield
    await close_publishers()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def stack(mongodb_uri: str, redis_url: str, run_service: RunService) -> AsyncIterator[Stack]:
    await asyncio.to_thread(lambda: list(setup(mongodb_uri)))
    async with AsyncMongoClient[dict[str, Any]](mongodb_uri) as client, Redis.from_url(redis_url) as redis:
        yield Stack(mongodb_uri, redis_url, client.get_default_database()["orders"], redis, run_service)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def replicas(session_servers: Servers) -> AsyncIterator[Replicas]:
    name = f"test_{uuid4().hex[:12]}"
    async with replicas_at(with_database(session_servers.mongodb_uri, name)) as both:
        yield both
        await both.orders.database.client.drop_database(name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def past_servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Mongod, Valkey]]:
    """Start a MongoDB that can be told to fail, and a Redis, for all tests of the module that ask for `past`."""
    folder = tmp_path_factory.mktemp("past")
    failing = ("--oplogSize", "64", "--setParameter", "enableTestCommands=1")
    mongod = new_mongod(folder / "mongod", failing)
    valkey = Valkey(folder=folder / "valkey", port=free_port())
    async with AsyncExitStack() as stack:
        for server in (mongod, valkey):
            stack.push_async_callback(server.kill)
            await server.start()
        yield mongod, valkey


@pytest.fixture
async def past(past_servers: tuple[Mongod, Valkey]) -> AsyncIterator[Past]:
    mongod, valkey = past_servers
    async with Redis.from_url(valkey.uri()) as redis:
        await redis.flushall()
        async with past_of(World(valkey, redis, mongod.uri(f"test_{uuid4().hex[:12]}"))) as past:
            yield past
            await past.orders.database.client.drop_database(past.orders.database)
