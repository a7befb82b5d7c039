"""The gateways' secret: all replicas have the same one, and it tells nothing of the database."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from services.commands.setup_db import setup
from services.common.tasks import Tasks
from services.gateway.recovery import SessionIds
from services.gateway.shared_secret import SharedSecret
from tests.conftest import OwnMongod
from tests.waiting import until

Database = AsyncDatabase[dict[str, Any]]


@asynccontextmanager
async def followed(secret: SharedSecret) -> AsyncIterator[None]:
    """Use the secret meanwhile as a gateway does."""
    await secret.load()
    async with Tasks() as tasks:
        tasks.keep("the secret", secret.follow())
        yield


@pytest.fixture
async def database(mongodb_uri: str) -> AsyncIterator[Database]:
    async with AsyncMongoClient[dict[str, Any]](mongodb_uri) as client:
        yield client.get_default_database()


async def test_gateways_that_start_at_once_agree_without_a_set_up_database(database: Database) -> None:
    replicas = [SessionIds() for _ in range(8)]
    everybody = asyncio.Barrier(len(replicas))

    async def live(ids: SessionIds) -> str:
        async with followed(SharedSecret(database, ids)):
            await everybody.wait()
            pid = ids.issue()
            await everybody.wait()
            return pid

    pids = await asyncio.gather(*(live(ids) for ids in replicas))
    assert all(replica.is_genuine(pid) for replica in replicas for pid in pids)
    assert await database.gateway_secrets.count_documents({}) == 1


async def test_a_session_id_is_no_oracle_for_the_password_of_the_database(database: Database, mongodb_uri: str) -> None:
    ids = SessionIds()
    async with followed(SharedSecret(database, ids)):
        nonce, _, signature = ids.issue().partition(".")
    for known in (mongodb_uri, f"recovery:{mongodb_uri}"):
        for secret in (known, hashlib.sha256(known.encode()).hexdigest()):
            key = hashlib.sha256(secret.encode()).digest()
            assert hmac.digest(key, nonce.encode(), "sha256").hex()[:24] != signature
    other = SessionIds()
    await database.drop_collection("gateway_secrets")
    async with followed(SharedSecret(database, other)):  # the same address, another secret
        assert not other.is_genuine(f"{nonce}.{signature}")


async def test_a_new_secret_is_used_without_a_restart_and_the_one_before_still_counts(
    database: Database, mongodb_uri: str
) -> None:
    await asyncio.to_thread(lambda: list(setup(mongodb_uri)))
    one, other = SessionIds(), SessionIds()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(followed(SharedSecret(database, one, refresh=0.05)))
        before = one.issue()
        await asyncio.to_thread(lambda: list(setup(mongodb_uri, rotate=True)))
        await stack.enter_async_context(followed(SharedSecret(database, other)))
        assert other.is_genuine(before)
        new = other.issue()
        await until(lambda: one.is_genuine(new), "the new secret is known")
        assert other.is_genuine(one.issue())


async def test_an_announced_secret_is_known_to_all_replicas_before_the_first_of_them_signs_with_it(
    database: Database, mongodb_uri: str
) -> None:
    await asyncio.to_thread(lambda: list(setup(mongodb_uri)))
    slow, quick = SessionIds(), SessionIds()
    await SharedSecret(database, slow).load()
    before = slow.issue()
    for _ in range(2):  # a second time announces nothing else: the first was interrupted
        await asyncio.to_thread(lambda: list(setup(mongodb_uri, announce=True)))
    await SharedSecret(database, quick).load()
    assert slow.is_genuine(quick.issue())  # `slow` has not read it yet
    await SharedSecret(database, slow).load()
    await asyncio.to_thread(lambda: list(setup(mongodb_uri, rotate=True)))
    await SharedSecret(database, quick).load()
    after = quick.issue()
    assert slow.is_genuine(after)
    assert quick.is_genuine(before)
    unaware = SessionIds()
    unaware.use(*(await database.gateway_secrets.find_one({}) or {})["secrets"][1:])
    assert not unaware.is_genuine(after)  # it is signed with the new one


async def test_a_secret_that_was_dropped_is_put_back(database: Database) -> None:
    one, other = SessionIds(), SessionIds()
    async with followed(SharedSecret(database, one, refresh=0.05)):
        await database.drop_collection("gateway_secrets")

        async def is_back() -> bool:
            return await database.gateway_secrets.count_documents({}) == 1

        await until(is_back, "the secret is back")
        async with followed(SharedSecret(database, other)):
            assert other.is_genuine(one.issue())


async def test_without_mongodb_a_gateway_starts_and_learns_the_secret_when_it_comes(own_mongod: OwnMongod) -> None:
    mongod = await own_mongod()
    uri = mongod.uri("orders")
    await asyncio.to_thread(lambda: list(setup(uri)))
    await mongod.stop()
    ids, other = SessionIds(), SessionIds()
    async with (
        AsyncMongoClient[dict[str, Any]](uri) as client,
        followed(SharedSecret(client["orders"], ids, retry=0.1)),
    ):
        early = ids.issue()
        assert ids.is_genuine(early)
        assert not other.is_genuine(early)
        await mongod.start()
        async with followed(SharedSecret(client["orders"], other)):
            await until(lambda: other.is_genuine(ids.issue()), "both have the secret")
        assert ids.is_genuine(early)
