"""A gateway reads from the oplog the same changes, byte for byte, as the watcher has published."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from pymongo import AsyncMongoClient

from services.common.cursor import Cursor, Position, cluster_time
from services.common.fair_turns import INTERNAL, FairTurns
from services.gateway.event import Event
from services.gateway.history import BATCH_EVENTS, PAGE_BYTES, History, HistoryPage
from services.mongodb.primary import Primary
from tests.integration.watched_orders import JOHN, Stack, Writer
from tests.log_entries import Entry, entries
from tests.waiting import until


async def read(stack: Stack, after: Position, count: int) -> list[list[Event]]:
    """Return so many events that follow a position, in the pages in which they come."""
    epoch = await stack.epoch()
    assert epoch
    pages: list[list[Event]] = []
    history = History(stack.orders.database, "orders", Primary(), FairTurns())
    reached = Position(0, 0)
    async with asyncio.timeout(110), aclosing(history.after(after, epoch, INTERNAL)) as readings:
        async for events, upto in readings:
            pages.append(events)
            assert all(reached < event.position <= upto for event in events)
            reached = max(reached, upto)
            if sum(map(len, pages)) >= count:
                break
    return pages


async def published(stack: Stack, count: int) -> list[Entry]:
    await stack.log_of(count)
    return await entries(stack.redis)


async def test_transactions_events_that_are_too_large_and_all_between_have_the_same_positions(stack: Stack) -> None:
    await stack.watcher(QUEUE_MAX_EVENTS="10")
    orders, client = stack.orders, stack.orders.database.client
    await orders.insert_many([{**JOHN} for _ in range(3)])
    large = (await orders.insert_one({**JOHN, "filler": "x" * 9_000_000})).inserted_id
    async with client.start_session() as session, await session.start_transaction():
        for number in range(5):
            await orders.insert_one({"_id": f"number {number}", **JOHN}, session=session)
    await orders.update_one({"_id": large}, {"$set": {"status": "shipped"}})  # 18 MB with both images
    async with client.start_session() as session, await session.start_transaction():
        for number in range(5):
            await orders.update_one({"_id": f"number {number}"}, {"$set": {"status": "shipped"}}, session=session)
    await orders.delete_many({"status": "shipped"})
    log = await published(stack, 21)
    told = [(entry.id, entry.envelope, entry.images) for entry in log]
    for start in (Position.before(int(log[0].id.partition("-")[0])), *(Position.parse(each.id) for each in log[:-1])):
        later = [each for each in told if Position.parse(each[0]) > start]
        pages = await read(stack, start, len(later))
        found = [(str(event.position), event.envelope, event._images_json) for page in pages for event in page]
        assert found == later


async def test_nothing_comes_below_a_position_that_was_reported_complete(stack: Stack) -> None:
    """Read while it is written, so that the end of the oplog is met again and again, in all kinds of moments."""
    await stack.watcher()
    await stack.orders.insert_one({**JOHN})
    log = await published(stack, 1)
    async with Writer(stack.orders):
        await read(stack, Position.parse(log[0].id), 1500)


async def test_the_time_to_begin_at_is_not_over_before_it_was_read(mongodb_uri: str) -> None:
    """With nothing to read yet, MongoDB names that very time; the next change may be the first one of it."""
    async with AsyncMongoClient[dict[str, Any]](mongodb_uri) as client:
        orders = client.get_default_database()["orders"]
        history = History(orders.database, "orders", Primary(), FairTurns())
        for _ in range(100):
            await orders.database["others"].insert_one({})
            now = cluster_time((await orders.database.command("ping"))["operationTime"])
            async with asyncio.timeout(30), aclosing(history.after(Position.end_of(now), "e1", INTERNAL)) as readings:
                first = await anext(readings)
                await orders.insert_one({})
                event = first.events[0] if first.events else await next_event(readings)
            assert event.position > first.upto or first.events
            if event.position.ts == now + 1:
                return
    raise AssertionError("no change was ever the next one")


async def next_event(readings: AsyncGenerator[HistoryPage]) -> Event:
    async for events, _ in readings:
        if events:
            return events[0]
    raise AssertionError("it has ended")


async def test_a_page_is_bounded_by_number_and_by_bytes(stack: Stack) -> None:
    await stack.watcher()
    async with Writer(stack.orders) as writer:
        await writer.has_written(2 * BATCH_EVENTS)
    await stack.orders.insert_many([{**JOHN, "filler": "x" * 60_000} for _ in range(20)])
    log = await published(stack, len(writer.done) + 20)
    pages = await read(stack, Position.before(Position.parse(log[0].id).ts), len(log))
    assert sum(map(len, pages)) == len(log)
    assert max(map(len, pages)) <= BATCH_EVENTS
    assert max(sum(len(event.envelope) for event in page) for page in pages) < PAGE_BYTES + 100_000


async def test_the_drop_with_which_an_epoch_began_does_not_end_it(stack: Stack) -> None:
    await stack.watcher()
    first = await stack.epoch()
    await stack.orders.insert_one({**JOHN})
    await published(stack, 1)
    await stack.orders.drop()

    async def has_begun() -> bool:
        return await stack.epoch() != first

    await until(has_begun, "a new epoch has begun")
    await stack.orders.insert_one({**JOHN})
    log = await published(stack, 1)
    floor = Position.parse(log[0].previous)
    [event] = [event for page in await read(stack, floor, 1) for event in page]
    assert event.cursor == str(Cursor(await stack.epoch() or "", Position.parse(log[0].id)))
