"""The checkpoint and the lease in MongoDB: one owner at a time, by the server's clock."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from time import monotonic
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection

from services.common.cursor import Position
from services.watcher.start import Checkpoint
from services.watcher.state import DatabaseRestored, LeaseLost, StateUnavailable, StreamState
from tests.conftest import OwnMongod
from tests.waiting import until, within

CHECKPOINT = Checkpoint("e1", Position(2**63 + 1, 7), "82AB", "set-1", "pipe")
Documents = AsyncCollection[dict[str, Any]]


@pytest.fixture
async def documents(mongodb_uri: str) -> AsyncIterator[Documents]:
    async with AsyncMongoClient[dict[str, Any]](mongodb_uri, tz_aware=True) as client:
        yield client.get_default_database()["stream_state"]


def watcher(documents: Documents, lease_seconds: float = 30) -> StreamState:
    return StreamState(documents, "orders", lease_seconds)


async def expired(documents: Documents) -> None:
    """Let the lease run out by the server's own clock, without waiting for it."""
    await documents.update_one({"_id": "orders"}, [{"$set": {"lease_expires_at": {"$subtract": ["$$NOW", 1]}}}])


async def test_of_twenty_contenders_one_wins(documents: Documents) -> None:
    contenders = [watcher(documents) for _ in range(20)]
    terms = await asyncio.gather(*(each.acquire() for each in contenders))
    assert [term for term in terms if term is not None] == [1]
    assert await documents.count_documents({}) == 1


async def test_each_owner_has_a_higher_term_than_the_last(documents: Documents) -> None:
    first, second = watcher(documents), watcher(documents)
    assert await first.acquire() == 1
    assert await second.acquire() is None
    await expired(documents)
    assert await second.acquire() == 2
    assert await first.acquire() is None


async def test_a_holder_that_acquires_the_lease_again_keeps_its_term(documents: Documents) -> None:
    state = watcher(documents)
    assert [await state.acquire(), await state.acquire()] == [1, 1]


async def test_a_holder_whose_lease_has_expired_gets_a_new_term(documents: Documents) -> None:
    state = watcher(documents)
    await state.acquire()
    await expired(documents)
    assert await state.acquire() == 2


async def test_the_term_is_above_the_term_in_the_log(documents: Documents) -> None:
    state = watcher(documents)
    assert await state.acquire() == 1
    assert await state.acquire(above=40) == 41
    assert await state.acquire(above=7) == 41


async def test_the_lease_ends_by_the_servers_clock(documents: Documents) -> None:
    first, second = watcher(documents, 1.0), watcher(documents, 1.0)
    async with within(3):
        began = monotonic()
        await first.acquire()
        await until(second.acquire, "the lease has run out")
        assert monotonic() - began > 0.9


async def test_a_renewed_lease_lasts_longer(documents: Documents) -> None:
    first, second = watcher(documents, 30), watcher(documents)
    await first.acquire()
    await documents.update_one({"_id": "orders"}, [{"$set": {"lease_expires_at": {"$add": ["$$NOW", 1]}}}])
    await first.renew(1)
    lease = await documents.find_one({"_id": "orders"})
    assert lease is not None
    assert (lease["lease_expires_at"] - lease["lease_expires_at"].now(lease["lease_expires_at"].tzinfo)).seconds > 20
    assert await second.acquire() is None


async def test_a_lease_given_back_is_free_at_once(documents: Documents) -> None:
    first, second = watcher(documents), watcher(documents)
    await first.acquire()
    await first.release(1)
    assert await second.acquire() == 2


async def test_after_a_takeover_the_old_owner_can_do_nothing(documents: Documents) -> None:
    old, new = watcher(documents), watcher(documents)
    await old.acquire()
    await expired(documents)
    await new.acquire()
    before = await documents.find_one({"_id": "orders"})
    for attempt in (old.renew(1), old.release(1), old.save(1, CHECKPOINT), old.save(2, CHECKPOINT)):
        with pytest.raises(LeaseLost):
            await attempt
    assert await documents.find_one({"_id": "orders"}) == before


async def test_a_checkpoint_reads_back_as_it_was_saved(documents: Documents) -> None:
    state = watcher(documents)
    assert await state.load() is None
    await state.acquire()
    assert await state.load() is None
    await state.save(1, CHECKPOINT)
    assert await state.load() == await watcher(documents).load() == CHECKPOINT


async def test_a_token_that_looks_like_an_expression_is_kept_as_it_is(documents: Documents) -> None:
    state = watcher(documents)
    await state.acquire()
    for token in ("$owner", "$$NOW", ""):
        odd = Checkpoint("e1", Position(0, 0), token, None, "pipe")
        await state.save(1, odd)
        assert await state.load() == odd


@pytest.mark.parametrize(
    "edited",
    [
        {"position": "soon"},
        {"position": 7},
        {"position": None},
        {"epoch": 7},
        {"resume_token": {"_data": "82AB"}},
        {"resume_token": None},
        {"pipeline": None},
    ],
)
async def test_an_edited_checkpoint_counts_as_missing(documents: Documents, edited: dict[str, Any]) -> None:
    state = watcher(documents)
    await state.acquire()
    await state.save(1, CHECKPOINT)
    await documents.update_one({"_id": "orders"}, {"$set": edited})
    assert await state.load() is None


async def test_a_mongodb_that_is_gone_is_reported_as_unavailable(own_mongod: OwnMongod) -> None:
    server = await own_mongod()
    options: dict[str, Any] = {"serverSelectionTimeoutMS": 300, "connectTimeoutMS": 300}
    async with AsyncMongoClient[dict[str, Any]](server.uri("test"), **options) as client:
        state = watcher(client["test"]["stream_state"])
        await state.acquire()
        await server.kill()
        for attempt in (state.load(), state.acquire(), state.renew(1), state.save(1, CHECKPOINT)):
            with pytest.raises(StateUnavailable):
                await attempt


async def test_a_database_that_was_restored_from_a_backup_is_noticed(documents: Documents) -> None:
    state = watcher(documents)
    term = await state.acquire()
    assert term is not None
    await state.save(term, CHECKPOINT)
    backup = await documents.find_one({"_id": "orders"})
    assert backup is not None
    await state.save(term, replace(CHECKPOINT, position=Position(2**63 + 2, 0)))
    await documents.replace_one({"_id": "orders"}, backup)
    with pytest.raises(DatabaseRestored):
        await state.load()
    assert await state.load() == CHECKPOINT
