"""Fixtures of several integration tests: a client of Redis, and a prepared database that is watched."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from services.commands.setup_db import setup
from tests.conftest import RunService
from tests.integration.watched_orders import Stack
from tests.log_entries import close_publishers


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
