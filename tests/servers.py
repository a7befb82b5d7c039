"""Where the tests' MongoDB and Redis come from: given, else embedded, else testcontainers, else a clear error."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from redis.asyncio import Redis

from services.embedded.binaries import Wanted, Way, locate
from services.embedded.errors import EmbeddedError
from services.embedded.mongod import Mongod
from services.embedded.ports import free_port
from services.embedded.replica_set import direct_client, establish
from services.embedded.valkey import Valkey

# Enough for any test, and made in a moment; the default is five percent of the disk.
SMALL_OPLOG = ("--oplogSize", "64")
# Tests write with the majority's acknowledgement, which waits for no interval.
_JOURNAL_COMMIT_MS = 100


@dataclass(frozen=True)
class Servers:
    """The servers of one run of the tests; every test takes a database of its own on them."""

    mongodb_uri: str
    redis_url: str


def new_mongod(
    folder: Path, arguments: Sequence[str] = SMALL_OPLOG, *, port: int | None = None, alone: bool = True
) -> Mongod:
    """Return one that was not started yet, and costs little while it has nothing to do."""
    port = free_port() if port is None else port
    return Mongod(folder=folder, port=port, arguments=arguments, alone=alone, journal_commit_ms=_JOURNAL_COMMIT_MS)


@asynccontextmanager
async def servers(folder: Path) -> AsyncIterator[Servers]:
    """Provide both servers, each from the first source that there is; raise EmbeddedError where there is none."""
    async with AsyncExitStack() as stack:
        yield Servers(mongodb_uri=await _mongodb(stack, folder), redis_url=await _redis(stack, folder))


async def _mongodb(stack: AsyncExitStack, folder: Path) -> str:
    if given := os.environ.get("TEST_MONGODB_URI") or os.environ.get("MONGODB_URI"):
        return given
    server = new_mongod(folder / "mongodb")
    try:
        return (await stack.enter_async_context(server)).uri()
    except EmbeddedError as error:
        return await _mongodb_container(stack, error)


async def _redis(stack: AsyncExitStack, folder: Path) -> str:
    if given := os.environ.get("TEST_REDIS_URL") or os.environ.get("REDIS_URL"):
        return given
    server = Valkey(folder=folder / "valkey", port=free_port())
    try:
        return (await stack.enter_async_context(server)).uri()
    except EmbeddedError as error:
        return await _redis_container(stack, error)


# An engine that is reached by its API only, without Docker's command line, which the embedded stack needs.
async def _mongodb_container(stack: AsyncExitStack, why: EmbeddedError) -> str:
    from tests.containers import mongodb_container  # asks for Docker when imported

    try:
        address = stack.enter_context(mongodb_container())
        async with direct_client(address, timeout=30_000) as client:
            # Inside the container it has another port than for us, hence its own view of itself and a direct client.
            await establish(client, "rs0", ["127.0.0.1:27017"])
    except Exception as error:
        raise EmbeddedError(f"No MongoDB for the tests, and TEST_MONGODB_URI names none: {why}") from error
    return f"mongodb://{address}/?directConnection=true"


async def _redis_container(stack: AsyncExitStack, why: EmbeddedError) -> str:
    from tests.containers import redis_container

    try:
        address = stack.enter_context(redis_container())
        async with Redis.from_url(f"redis://{address}/0") as client:
            await client.ping()
    except Exception as error:
        raise EmbeddedError(f"No Redis for the tests, and TEST_REDIS_URL names none: {why}") from error
    return f"redis://{address}/0"


def program(wanted: Wanted) -> Path:
    """Return the program itself, for tests that run it in their own way; skip the test where it is not to be had."""
    try:
        found = locate(wanted, Way.WHEELS)
    except EmbeddedError as error:
        pytest.skip(f"NOT TESTED, because it needs the program itself: {error}")
    assert isinstance(found, Path)
    return found


def with_database(mongodb_uri: str, name: str) -> str:
    """Return the URI with another database; hosts and options stay."""
    parts = urlsplit(mongodb_uri)
    return urlunsplit(parts._replace(path=f"/{name}"))


async def unused_database(redis_url: str) -> str:
    """Return the URL of a logical database that is empty. Others may be in use, and are never flushed."""
    for number in range(15, 0, -1):
        url = urlunsplit(urlsplit(redis_url)._replace(path=f"/{number}"))
        async with Redis.from_url(url) as client:
            if await client.dbsize() == 0:
                return url
    raise EmbeddedError(
        "None of the Redis databases 1 to 15 is empty; the tests flush only what they have found empty."
    )
