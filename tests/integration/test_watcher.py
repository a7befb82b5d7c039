"""The watcher as a process: every change that MongoDB acknowledged is in the log once and in order, whatever dies."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import pytest
from bson import ObjectId
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from redis.asyncio import Redis

from services.common.cursor import Cursor
from services.setup_db import setup
from tests.conftest import OwnValkey, RunService
from tests.log_entries import KEYS, Entry, entries, head
from tests.service_process import ServiceProcess
from tests.waiting import until

Orders = AsyncCollection[dict[str, Any]]
JOHN = {"customer_name": "John Doe", "product_name": "Laptop", "status": "pending"}


@dataclass
class Stack:
    """A prepared database, a Redis, and what starts watchers on them."""

    mongodb_uri: str
    redis_url: str
    orders: Orders
    redis: Redis
    run: RunService

    async def watcher(self, *, wait_for_log: bool = True, **settings: str) -> ServiceProcess:
        fast = {"LEASE_SECONDS": "1", "LOG_FORMAT": "console", **settings}
        watcher = await self.run("watcher", {"MONGODB_URI": self.mongodb_uri, "REDIS_URL": self.redis_url, **fast})
        if wait_for_log:
            await until(self.epoch, "the log is begun")
        return watcher

    async def epoch(self) -> str | None:
        return (await head(self.redis)).get("epoch")

    async def state(self) -> dict[str, Any]:
        return await self.orders.database["stream_state"].find_one({"_id": "orders"}) or {}

    async def log_of(self, count: int, seconds: float = 20) -> list[dict[str, Any]]:
        """Return the envelopes in the log, as soon as there are so many."""

        async def enough() -> list[Entry]:
            found = await entries(self.redis)
            return found if len(found) >= count else []

        return envelopes(await until(enough, f"{count} changes are in the log", seconds))

    async def log_ending_with(self, done: list[tuple[str, str]]) -> list[dict[str, Any]]:
        """Return the envelopes in the log as soon as they end with these changes; a rebuilt log has older ones too."""

        async def ends() -> list[dict[str, Any]]:
            log = envelopes(await entries(self.redis))
            return log if told(log)[-len(done) :] == done else []

        return await until(ends, f"the log ends with the {len(done)} acknowledged changes", 20)


@pytest.fixture
async def stack(mongodb_uri: str, redis_url: str, run_service: RunService) -> AsyncIterator[Stack]:
    await asyncio.to_thread(lambda: list(setup(mongodb_uri)))
    async with AsyncMongoClient[dict[str, Any]](mongodb_uri) as client, Redis.from_url(redis_url) as redis:
        yield Stack(mongodb_uri, redis_url, client.get_default_database()["orders"], redis, run_service)


def envelopes(found: Sequence[Entry]) -> list[dict[str, Any]]:
    """Read the entries, after checking that they are a chain and that each is where it says."""
    for earlier, later in itertools.pairwise(found):
        assert later.previous == earlier.id
    read = [json.loads(entry.envelope) for entry in found]
    assert [str(Cursor.parse(each["cursor"]).position) for each in read] == [entry.id for entry in found]
    positions = [Cursor.parse(each["cursor"]).position for each in read]
    assert positions == sorted(set(positions))
    return read


@dataclass
class Writer:
    """Writes as fast as MongoDB acknowledges, and remembers what it did."""

    orders: Orders
    done: list[tuple[str, str]] = field(default_factory=list)

    stopping: bool = False

    async def write(self) -> None:
        number = 0
        while not self.stopping:
            number += 1
            order = ObjectId()
            await self.orders.insert_one({"_id": order, "number": number, **JOHN})
            self.done.append(("INSERT", str(order)))
            if number % 3 == 0:
                await self.orders.update_one({"_id": order}, {"$set": {"status": "shipped"}})
                self.done.append(("UPDATE", str(order)))
            if number % 5 == 0:
                await self.orders.delete_one({"_id": order})
                self.done.append(("DELETE", str(order)))

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.write())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop between two writes, so that everything that was written was acknowledged."""
        self.stopping = True
        await self._task

    async def has_written(self, more: int) -> None:
        goal = len(self.done) + more
        await until(lambda: len(self.done) >= goal, f"{goal} writes are acknowledged")


def told(log: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(each["operation"], each["id"]) for each in log]


async def test_each_way_to_write_gives_its_envelope_in_commit_order(stack: Stack) -> None:
    await stack.watcher()
    orders = stack.orders
    ids = [ObjectId() for _ in range(4)]
    await orders.insert_one({"_id": ids[0], **JOHN})
    await orders.update_one({"_id": ids[0]}, {"$set": {"status": "shipped"}})
    await orders.replace_one({"_id": ids[0]}, {**JOHN, "status": "delivered"})
    await orders.delete_one({"_id": ids[0]})
    async with orders.database.client.start_session() as session, await session.start_transaction():
        await orders.insert_one({"_id": ids[1], **JOHN}, session=session)
        await orders.insert_one({"_id": ids[2], **JOHN}, session=session)
        await orders.update_one({"_id": ids[1]}, {"$set": {"status": "shipped"}}, session=session)
    await orders.update_many({"_id": {"$in": ids}}, {"$set": {"product_name": "Desk"}})
    await orders.delete_many({"_id": {"$in": ids}})
    log = await stack.log_of(11)
    first, second, third = (str(order) for order in ids[:3])
    assert told(log)[:7] == [
        ("INSERT", first),
        ("UPDATE", first),
        ("UPDATE", first),
        ("DELETE", first),
        ("INSERT", second),
        ("INSERT", third),
        ("UPDATE", second),
    ]
    assert sorted(told(log)[7:9]) == sorted([("UPDATE", second), ("UPDATE", third)])
    assert sorted(told(log)[9:]) == sorted([("DELETE", second), ("DELETE", third)])
    assert [each["data"]["status"] for each in log[:7]] == [
        "pending",
        "shipped",
        "delivered",
        "delivered",
        "pending",
        "pending",
        "shipped",
    ]
    assert {each["data"]["product_name"] for each in log[7:]} == {"Desk"}
    transaction = [Cursor.parse(each["cursor"]).position for each in log[4:7]]
    assert {place.ts for place in transaction} == {transaction[0].ts}
    assert [place.n for place in transaction] == [0, 1, 2]


async def test_what_an_order_was_before_goes_to_the_filters_only(stack: Stack) -> None:
    await stack.watcher()
    order = (await stack.orders.insert_one({**JOHN})).inserted_id
    await stack.orders.update_one({"_id": order}, {"$set": {"status": "shipped"}})
    await stack.log_of(2)
    inserted, updated = await entries(stack.redis)
    assert inserted.before == b"null"
    assert json.loads(updated.before) == {"status": "pending", "customer_name": "John Doe"}
    assert b"pending" not in updated.envelope


@pytest.mark.timeout(90)
async def test_a_watcher_killed_again_and_again_misses_nothing_and_repeats_nothing(stack: Stack) -> None:
    watcher = await stack.watcher()
    async with Writer(stack.orders) as writer:
        for _ in range(3):
            await writer.has_written(150)
            await watcher.kill()
            await writer.has_written(50)
            await watcher.start()
        await writer.has_written(100)
    log = await stack.log_of(len(writer.done))
    assert told(log) == writer.done
    assert len({Cursor.parse(each["cursor"]).epoch for each in log}) == 1


@pytest.mark.timeout(90)
async def test_what_redis_loses_under_load_is_rebuilt_with_the_same_ids_and_bytes(stack: Stack) -> None:
    await stack.watcher()
    epoch = await stack.epoch()
    async with Writer(stack.orders) as writer:
        for lost in ([KEYS.log], [KEYS.head], [KEYS.log, KEYS.head]):
            await writer.has_written(150)
            before = {entry.id: entry[1:] for entry in await entries(stack.redis)}
            await stack.redis.delete(*lost)
            await writer.has_written(150)

            async def rebuilt() -> bool:
                return len(await entries(stack.redis)) > len(before) + 50  # noqa: B023

            await until(rebuilt, "the log is longer than before")
            after = {entry.id: entry[1:] for entry in await entries(stack.redis)}
            changed = [place for place, entry in before.items() if after.get(place, ())[:2] != entry[:2]]
            assert changed == []
    await stack.log_ending_with(writer.done)
    assert await stack.epoch() == epoch


async def test_a_quiet_stream_that_redis_lost_is_rebuilt_once(stack: Stack) -> None:
    watcher = await stack.watcher()
    epoch = await stack.epoch()
    await until(stack.state, "the checkpoint is saved")
    await stack.redis.flushdb()
    await until(stack.epoch, "the log is rebuilt")
    assert watcher.output.count("Rebuilding") == 1
    token = (await stack.state())["resume_token"]

    async def moved() -> bool:
        return bool((await stack.state())["resume_token"] != token)

    await until(moved, "the token of the quiet stream moves on", 20)
    await watcher.stop()
    await watcher.start()
    await stack.orders.insert_one({**JOHN})
    await stack.log_of(1)
    assert await stack.epoch() == epoch
    assert watcher.output.count("Rebuilding") == 1


async def test_while_nothing_changes_the_saved_token_moves_on(stack: Stack) -> None:
    await stack.watcher()
    await stack.orders.insert_one({**JOHN})
    [change] = await stack.log_of(1)
    position = str(Cursor.parse(change["cursor"]).position)

    async def saved() -> bool:
        return bool((await stack.state()).get("position") == position)

    await until(saved, "the change is saved")
    token = (await stack.state())["resume_token"]
    await stack.orders.database["elsewhere"].insert_one({})

    async def moved() -> bool:
        return bool((await stack.state())["resume_token"] > token)

    await until(moved, "the token moves")
    assert await saved()


async def test_a_second_watcher_stands_by_and_takes_over_when_the_first_is_killed(stack: Stack) -> None:
    first = await stack.watcher()
    second = await stack.watcher()
    await until(lambda: "standing by" in second.output, "the second one stands by")
    async with Writer(stack.orders) as writer:
        await writer.has_written(100)
        await first.kill()
        await until(lambda: "This watcher leads" in second.output, "the second one leads", 5)
        await writer.has_written(100)
    assert told(await stack.log_of(len(writer.done))) == writer.done


async def test_a_watcher_that_stops_hands_over_at_once(stack: Stack) -> None:
    first = await stack.watcher(LEASE_SECONDS="60")
    second = await stack.watcher(LEASE_SECONDS="60")
    await until(lambda: "standing by" in second.output, "the second one stands by")
    await first.stop()
    assert await first.wait() == 0
    await until(lambda: "This watcher leads" in second.output, "the second one leads", 5)
    await stack.orders.insert_one({**JOHN})
    await stack.log_of(1)


async def test_a_watcher_that_was_frozen_past_its_lease_does_no_harm(stack: Stack) -> None:
    first = await stack.watcher()
    second = await stack.watcher()
    await until(lambda: "standing by" in second.output, "the second one stands by")
    async with Writer(stack.orders) as writer:
        await writer.has_written(50)
        first.pause()
        await until(lambda: "This watcher leads" in second.output, "the second one leads", 5)
        await writer.has_written(50)
        first.resume()
        await until(lambda: first.output.count("standing by") > 0, "the first one notices")
        await writer.has_written(50)
    assert told(await stack.log_of(len(writer.done))) == writer.done
    assert first.running


async def test_a_watcher_whose_queue_is_full_stops_when_it_is_told(stack: Stack, own_valkey: OwnValkey) -> None:
    valkey = await own_valkey()
    stack.redis_url = valkey.uri()
    watcher = await stack.watcher(wait_for_log=False, QUEUE_MAX_EVENTS="3", BATCH_MAX_EVENTS="1")
    await stack.orders.insert_one({**JOHN})
    async with Redis.from_url(valkey.uri()) as redis:

        async def carried() -> bool:
            return len(await entries(redis)) == 1

        await until(carried, "the first change is in the log")
    valkey.pause()
    async with Writer(stack.orders) as writer:
        await writer.has_written(100)
        # Nothing tells from outside that the queue is full; with a hundred changes and room for three it soon is.
        await until(lambda: "redis failed" in watcher.output, "Redis is missed")
    async with asyncio.timeout(14):  # `stop` would kill it after 15
        await watcher.stop()
    assert await watcher.wait() == 0


async def test_a_log_that_is_lost_while_the_queue_is_full_is_rebuilt(stack: Stack) -> None:
    watcher = await stack.watcher(QUEUE_MAX_EVENTS="2", BATCH_MAX_EVENTS="1")
    ids = [ObjectId() for _ in range(3000)]  # all at once, and published one by one: the queue is full meanwhile
    await stack.orders.insert_many([{"_id": order, **JOHN} for order in ids])
    await stack.log_of(100)
    await stack.redis.delete(KEYS.log)
    await stack.log_ending_with([("INSERT", str(order)) for order in ids])
    assert "the log will be rebuilt" in watcher.output
