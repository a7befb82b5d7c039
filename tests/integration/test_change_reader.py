"""The one change-stream reader: a single event that cannot be read as it is takes nothing along, and shifts nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import pytest
from bson.errors import InvalidBSON
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from services.common.cursor import Position
from services.common.normalize import Change
from services.common.numbering import Numbering
from services.common.visible_fields import ALL_FIELDS
from services.mongodb.change_cursor import ChangeCursor, Documents, OpenCursor
from services.mongodb.change_reader import StartAt
from services.mongodb.change_stream import ChangeStream
from services.mongodb.command_cursor import command_cursor
from services.mongodb.faults import FaultKind
from services.mongodb.open_stream import Idle
from services.mongodb.primary import Primary
from services.mongodb.server_cursor import server_cursor
from services.mongodb.source_failed import SourceFailed

T = TypeVar("T")
MOST = 100

both = pytest.mark.parametrize("open_cursor", [server_cursor, command_cursor], ids=["wire", "command"])


class Undecodable:
    """A cursor that cannot decode a batch that holds a document marked so."""

    def __init__(self, inner: ChangeCursor) -> None:
        self._inner = inner
        self.prefetch = inner.prefetch

    @property
    def is_open(self) -> bool:
        return self._inner.is_open

    @property
    def token(self) -> str:
        return self._inner.token

    async def next_batch(self, take: Callable[[Documents], T]) -> T:
        def decode(events: Documents) -> T:
            if any((event.get("fullDocument") or {}).get("undecodable") for event in events):
                raise InvalidBSON("not to be decoded")
            return take(events)

        return await self._inner.next_batch(decode)


def undecodable(open_cursor: OpenCursor) -> OpenCursor:
    @asynccontextmanager
    async def opened(
        database: "AsyncDatabase[Any]", pipeline: Sequence[Mapping[str, Any]], batch_size: int, await_ms: int
    ) -> AsyncIterator[Any]:
        async with open_cursor(database, pipeline, batch_size, await_ms) as cursor:
            yield Undecodable(cursor)

    return opened


@pytest.fixture
async def database(mongodb_uri: str) -> AsyncIterator["AsyncDatabase[Any]"]:
    async with AsyncMongoClient[dict[str, Any]](mongodb_uri) as client:
        database = client.get_default_database()
        await database.create_collection("orders", changeStreamPreAndPostImages={"enabled": True})
        yield database


def stream(database: "AsyncDatabase[Any]", open_cursor: OpenCursor) -> ChangeStream:
    return ChangeStream(database, "orders", Primary(), 60, open_cursor)


async def now(database: "AsyncDatabase[Any]") -> int:
    return (await stream(database, command_cursor).deployment()).now + 1


async def changes(
    database: "AsyncDatabase[Any]", open_cursor: OpenCursor, since: int, count: int, batch_size: int = MOST
) -> list[tuple[Position, Any, bool]]:
    """Return position, id, and whether there was data, of so many changes."""
    numbering = Numbering("e1", Position.before(since), ALL_FIELDS)
    found: list[tuple[Position, Any, bool]] = []
    async with asyncio.timeout(30), stream(database, open_cursor).open(StartAt(since), batch_size) as reader:
        while len(found) < count:
            events = await reader.next(list)
            if isinstance(events, Idle):
                continue
            for event in events:
                item = numbering.of(event)
                assert isinstance(item, Change)
                found.append((item.position, event["documentKey"]["_id"], b'"data":null' not in item.envelope))
    return found


@both
async def test_only_the_event_that_is_too_large_comes_without_its_images(
    database: "AsyncDatabase[Any]", open_cursor: OpenCursor
) -> None:
    since = await now(database)
    orders = database["orders"]
    await orders.insert_one({"_id": 0, "filler": "x" * 9_000_000})
    await orders.insert_many([{"_id": number} for number in range(1, 4)])
    await orders.update_one({"_id": 0}, {"$set": {"number": 1}})
    await orders.insert_one({"_id": 4})
    await orders.update_one({"_id": 0}, {"$set": {"number": 2}})
    await orders.update_one({"_id": 0}, {"$set": {"number": 3}})
    await orders.insert_many([{"_id": number} for number in range(5, 8)])
    found = await changes(database, open_cursor, since, 11)
    assert [name for _, name, _ in found] == [0, 1, 2, 3, 0, 4, 0, 0, 5, 6, 7]
    assert [has_data for _, _, has_data in found] == [False, *[True] * 3, False, True, False, False, *[True] * 3]


@both
async def test_positions_are_the_same_where_events_are_stepped_over_in_the_middle_of_a_transaction(
    database: "AsyncDatabase[Any]", open_cursor: OpenCursor
) -> None:
    since = await now(database)
    async with database.client.start_session() as session, await session.start_transaction():
        for number in range(6):
            await database["orders"].insert_one({"_id": number, "undecodable": number in (0, 2, 3)}, session=session)
    plain = await changes(database, open_cursor, since, 6)
    assert [position.n for position, _, _ in plain] == list(range(6))
    for batch_size in (1, 2, MOST):
        stepped = await changes(database, undecodable(open_cursor), since, 6, batch_size)
        assert [each[:2] for each in stepped] == [each[:2] for each in plain]
        assert [has_data for _, _, has_data in stepped] == [False, True, False, False, True, True]


async def test_after_an_event_that_was_stepped_over_many_come_at_once_again(database: "AsyncDatabase[Any]") -> None:
    since = await now(database)
    await database["orders"].insert_many([{"_id": number, "undecodable": number == 3} for number in range(100)])
    sizes: list[int] = []
    async with asyncio.timeout(30), stream(database, undecodable(command_cursor)).open(StartAt(since), 10) as reader:
        while sum(sizes) < 100:
            size = await reader.next(len)
            sizes.append(0 if isinstance(size, Idle) else size)
    assert 10 in sizes


async def test_events_requested_before_are_not_lost_when_the_stream_is_reopened(
    database: "AsyncDatabase[Any]",
) -> None:
    since = await now(database)
    await database["orders"].insert_many([{"_id": number, "undecodable": number == 5} for number in range(30)])
    ids: list[int] = []
    async with asyncio.timeout(30), stream(database, undecodable(server_cursor)).open(StartAt(since), 3) as reader:

        def take(events: Documents) -> None:
            reader.prefetch()
            ids.extend(event["documentKey"]["_id"] for event in events)

        while len(ids) < 30:
            await reader.next(take)
    assert ids == list(range(30))


async def test_an_event_that_is_not_readable_without_images_either_is_an_error(
    database: "AsyncDatabase[Any]",
) -> None:
    class Broken(Undecodable):
        async def next_batch(self, take: Callable[[Documents], T]) -> T:
            def decode(events: Documents) -> T:
                if events:
                    raise InvalidBSON("not to be decoded")
                return take(events)

            return await self._inner.next_batch(decode)

    @asynccontextmanager
    async def broken(
        database: "AsyncDatabase[Any]", pipeline: Sequence[Mapping[str, Any]], batch_size: int, await_ms: int
    ) -> AsyncIterator[Any]:
        async with command_cursor(database, pipeline, batch_size, await_ms) as cursor:
            yield Broken(cursor)

    since = await now(database)
    await database["orders"].insert_one({"_id": 1})
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(asyncio.timeout(30))
        reader = await stack.enter_async_context(stream(database, broken).open(StartAt(since), MOST))
        with pytest.raises(SourceFailed) as caught:
            await reader.next(len)
        assert caught.value.fault is FaultKind.UNREADABLE
