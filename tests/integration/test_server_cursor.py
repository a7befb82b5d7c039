"""Cursors read by commands and over a connection of their own: their batches, their end, their errors."""

import asyncio
import secrets
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import bson
import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import AutoReconnect, OperationFailure, ProtocolError
from pymongo.monitoring import TopologyDescriptionChangedEvent

from services.embedded.mongod import Mongod
from services.mongodb.change_cursor import ChangeCursor, Documents, OpenCursor
from services.mongodb.command_cursor import command_cursor
from services.mongodb.cursor_choice import CursorChoice
from services.mongodb.primary import Primary
from services.mongodb.server_cursor import server_cursor
from services.mongodb.wire import MongoWire
from tests.conftest import OwnMongod
from tests.integration.cursors import open_cursors
from tests.servers import SMALL_OPLOG, new_mongod
from tests.waiting import HANGS, until, within

WATCH: list[dict[str, Any]] = [{"$changeStream": {}}]

both = pytest.mark.parametrize("open_cursor", [server_cursor, command_cursor], ids=["wire", "command"])


class Lost(Primary):
    """Counts how often the driver took the server for lost."""

    def __init__(self) -> None:
        super().__init__()
        self.times = 0

    def description_changed(self, event: TopologyDescriptionChangedEvent) -> None:
        before, after = event.previous_description, event.new_description
        self.times += before.has_readable_server() and not after.has_readable_server()


@asynccontextmanager
async def database_of(server: Mongod, **options: Any) -> AsyncIterator["AsyncDatabase[Any]"]:
    """Yield a database in which no other test has left a cursor."""
    async with AsyncMongoClient[dict[str, Any]](server.uri(f"shop_{secrets.token_hex(6)}"), **options) as client:
        yield client.get_default_database()


@asynccontextmanager
async def fail_get_more(database: "AsyncDatabase[Any]", **how: Any) -> AsyncIterator[None]:
    """Let the next `getMore` fail."""
    admin = database.client.admin
    data = {"failCommands": ["getMore"], **how}
    await admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": data})
    try:
        yield
    finally:
        await admin.command({"configureFailPoint": "failCommand", "mode": "off"})


async def taken(cursor: ChangeCursor, count: int) -> Sequence[int]:
    """Return the numbers that were inserted, as soon as there are so many."""
    numbers: list[int] = []
    async with within(20):  # less than a cursor waits
        while len(numbers) < count:
            numbers += [event["fullDocument"]["number"] for event in await cursor.next_batch(list)]
    return numbers


async def endless(cursor: ChangeCursor) -> None:
    while True:
        await cursor.next_batch(list)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mongod]:
    folder = tmp_path_factory.mktemp("cursors")
    fails_on_request = (*SMALL_OPLOG, "--setParameter", "enableTestCommands=1")
    async with new_mongod(folder, fails_on_request) as running:
        yield running


@both
async def test_all_changes_come_in_lists_that_are_bounded_and_each_answer_has_a_token(
    server: Mongod, open_cursor: OpenCursor
) -> None:
    async with database_of(server) as database, open_cursor(database, WATCH, 10, 200) as cursor:
        assert await cursor.next_batch(list) == []
        quiet = cursor.token
        await database.orders.insert_many([{"number": number} for number in range(25)])
        first = await cursor.next_batch(list)
        assert 0 < len(first) <= 10
        assert await taken(cursor, 25 - len(first)) == list(range(len(first), 25))
        assert cursor.token != quiet
        assert cursor.is_open


@both
async def test_changes_that_come_with_the_first_answer_are_not_lost(server: Mongod, open_cursor: OpenCursor) -> None:
    async with database_of(server) as database:
        hello = await database.command("hello")
        await database.orders.insert_many([{"number": number} for number in range(25)])
        since = [{"$changeStream": {"startAtOperationTime": hello["operationTime"]}}]
        async with open_cursor(database, since, 10, 200) as cursor:
            assert await taken(cursor, 25) == list(range(25))


async def test_a_batch_is_taken_before_the_waiting_task_wakes_up(server: Mongod) -> None:
    def take(events: Documents) -> tuple[bool, int]:
        return asyncio.current_task() is None, len(events)

    async with database_of(server) as database, server_cursor(database, WATCH, 10, 30_000) as cursor:
        waiting = asyncio.create_task(cursor.next_batch(take))
        await asyncio.sleep(0)
        await database.orders.insert_one({"number": 1})
        assert await waiting == (True, 1)


async def test_a_batch_that_came_before_the_wait_is_taken_then(server: Mongod) -> None:
    async with database_of(server) as database, server_cursor(database, WATCH, 10, 30_000) as cursor:
        cursor.prefetch()
        await database.orders.insert_one({"number": 1})
        await until(lambda: cursor._wire._pending is None, "the answer is there")
        assert await cursor.next_batch(len) == 1
        waiting = asyncio.create_task(cursor.next_batch(len))
        await asyncio.sleep(0)
        await database.orders.insert_one({"number": 2})
        assert await waiting == 1
        cursor.prefetch()  # by then it can no longer be mixed up with another reply
        await database.orders.insert_one({"number": 3})
        await until(lambda: cursor._wire._pending is None, "the answer is there")
        assert await taken(cursor, 1) == [3]


@both
async def test_an_unusable_batch_is_raised_to_the_caller_and_ends_the_cursor(
    server: Mongod, open_cursor: OpenCursor
) -> None:
    def refuse(events: Documents) -> None:
        raise LookupError(len(events))

    async with database_of(server) as database, open_cursor(database, WATCH, 10, 30_000) as cursor:
        waiting = asyncio.create_task(cursor.next_batch(refuse))
        await asyncio.sleep(0)
        await database.orders.insert_one({"number": 1})
        with pytest.raises(LookupError):
            await waiting
        assert not cursor.is_open
        assert await cursor.next_batch(len) == 0


@both
async def test_a_cursor_that_is_left_is_forgotten_by_mongodb(server: Mongod, open_cursor: OpenCursor) -> None:
    async with database_of(server) as database:
        async with open_cursor(database, WATCH, 10, 100) as cursor:
            await cursor.next_batch(list)
            assert await open_cursors(database, "$cmd.aggregate") == 1
        assert await open_cursors(database, "$cmd.aggregate") == 0


@both
async def test_a_cursor_left_during_a_request_is_killed_too_and_its_reply_is_discarded(
    server: Mongod,
    open_cursor: OpenCursor,
) -> None:
    async with database_of(server, maxPoolSize=2) as database:
        async with open_cursor(database, WATCH, 10, 30_000) as cursor:
            asking = asyncio.create_task(cursor.next_batch(list))
            await asyncio.sleep(0)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
        for _ in range(3):
            assert (await database.command("ping"))["ok"]

        async def forgotten() -> bool:
            return await open_cursors(database, "$cmd.aggregate") == 0

        await until(forgotten, "MongoDB has forgotten the cursor")


@both
async def test_a_batch_requested_before_is_not_requested_again(server: Mongod, open_cursor: OpenCursor) -> None:
    async with database_of(server, maxPoolSize=1) as database:
        async with open_cursor(database, WATCH, 10, 200) as cursor:
            cursor.prefetch()
            cursor.prefetch()
            assert await cursor.next_batch(list) == []
        for _ in range(2):
            assert "cursor" not in await database.command("ping")


@both
async def test_a_reply_that_is_not_taken_is_discarded(server: Mongod, open_cursor: OpenCursor) -> None:
    async with database_of(server, maxPoolSize=1) as database:
        async with open_cursor(database, WATCH, 10, 100) as cursor:
            cursor.prefetch()
            await asyncio.sleep(0.2)
        assert (await database.command("ping"))["ok"]
        assert "cursor" not in await database.command("ping")


@both
async def test_an_error_is_raised_with_its_code_and_ends_the_cursor(server: Mongod, open_cursor: OpenCursor) -> None:
    async with database_of(server) as database, open_cursor(database, WATCH, 10, 100) as cursor:
        async with fail_get_more(database, errorCode=286, errorLabels=["NonResumableChangeStreamError"]):
            with pytest.raises(OperationFailure) as caught:
                await cursor.next_batch(list)
        assert caught.value.code == 286
        assert caught.value.has_error_label("NonResumableChangeStreamError")
        assert not cursor.is_open
        assert await cursor.next_batch(list) == []


@both
async def test_the_driver_is_told_of_a_connection_that_was_cut(server: Mongod, open_cursor: OpenCursor) -> None:
    lost = Lost()
    async with database_of(server, event_listeners=[lost]) as database:
        async with open_cursor(database, WATCH, 10, 100) as cursor:
            async with fail_get_more(database, closeConnection=True):
                with pytest.raises(AutoReconnect):
                    await cursor.next_batch(list)
            await until(lambda: lost.times == 1, "the driver has taken the server for lost")
        async with open_cursor(database, WATCH, 10, 100) as cursor:
            assert await cursor.next_batch(list) == []


@both
async def test_a_server_that_falls_silent_is_given_up_before_the_timeout(
    server: Mongod, open_cursor: OpenCursor
) -> None:
    options = {"socketTimeoutMS": 120_000, "connectTimeoutMS": 500, "heartbeatFrequencyMS": 500}
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(database_of(server, **options))
        cursor = await stack.enter_async_context(open_cursor(database, WATCH, 10, 100))
        server.pause()
        stack.callback(server.resume)
        with pytest.raises(AutoReconnect):
            await asyncio.wait_for(endless(cursor), 60)


@both
async def test_a_question_to_a_server_that_was_given_up_fails_when_its_answer_is_wanted(
    server: Mongod, open_cursor: OpenCursor
) -> None:
    options = {"connectTimeoutMS": 500, "heartbeatFrequencyMS": 500, "serverSelectionTimeoutMS": 2000}
    lost = Lost()
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(database_of(server, event_listeners=[lost], **options))
        cursor = await stack.enter_async_context(open_cursor(database, WATCH, 10, 100))
        server.pause()
        stack.callback(server.resume)
        await until(lambda: lost.times, "the driver has taken the server for lost")
        await asyncio.sleep(1)
        cursor.prefetch()
        with pytest.raises(AutoReconnect):
            await asyncio.wait_for(cursor.next_batch(list), 30)


@both
async def test_an_answer_that_does_not_come_is_waited_for_no_longer_than_the_timeout(
    server: Mongod, open_cursor: OpenCursor
) -> None:
    async with (
        database_of(server, socketTimeoutMS=1500) as database,
        open_cursor(database, WATCH, 10, 60_000) as cursor,
    ):
        with pytest.raises(AutoReconnect):
            await asyncio.wait_for(cursor.next_batch(list), 30)


@both
async def test_a_long_answer_comes_whole_though_the_client_would_compress(
    server: Mongod, open_cursor: OpenCursor
) -> None:
    async with (
        database_of(server, compressors="zlib") as database,
        open_cursor(database, WATCH, 1000, 200) as cursor,
    ):
        text = "long" * 25_000
        await database.orders.insert_many([{"number": number, "text": text} for number in range(20)])
        assert await taken(cursor, 20) == list(range(20))


async def test_a_batch_requested_while_a_reply_is_taken_is_not_taken_with_it(server: Mongod) -> None:
    """The next answer may be here before the task that waits for the first one wakes up."""
    async with database_of(server) as database, server_cursor(database, WATCH, 10, 30_000) as cursor:
        taken: list[int] = []

        def ask_for_more(events: Documents) -> int:
            taken.append(len(events))
            cursor.prefetch()
            cursor._wire.data_received(b"".join(answers))  # and it comes in the same moment
            return len(events)

        reply = bson.encode({"ok": 1, "cursor": {"id": cursor._id, "nextBatch": [{"number": 2}]}})
        answers = [struct.pack("<iiiiIB", 21 + len(reply), 7, 1, 2013, 0, 0), reply]
        waiting = asyncio.create_task(cursor.next_batch(ask_for_more))
        await asyncio.sleep(0)
        await database.orders.insert_one({"number": 1})
        assert await waiting == 1
        assert taken == [1]
        assert await cursor.next_batch(list) == [{"number": 2}]


async def test_a_cursor_is_chosen_by_a_probe_and_the_safe_one_where_pymongo_has_changed(server: Mongod) -> None:
    @asynccontextmanager
    async def of_another_version(
        database: "AsyncDatabase[Any]", pipeline: Sequence[Mapping[str, Any]], batch_size: int, await_ms: int
    ) -> AsyncIterator[ChangeCursor]:
        if batch_size:
            raise AttributeError("_conn_for_reads")
        async with server_cursor(database, pipeline, batch_size, await_ms) as cursor:
            yield cursor

    async with database_of(server) as database:
        for choice, name in ((CursorChoice(), "wire"), (CursorChoice(fast=of_another_version), "command")):
            async with choice.open(database, WATCH, 10, 200) as cursor:
                assert choice.name == name
                await database.orders.insert_one({"number": 1})
                assert await taken(cursor, 1) == [1]


async def test_a_mongodb_that_is_not_there_decides_nothing(own_mongod: OwnMongod) -> None:
    server, choice = await own_mongod(), CursorChoice()
    hasty = database_of(server, serverSelectionTimeoutMS=500, connectTimeoutMS=500)
    async with hasty as gone, database_of(server) as back:
        await server.kill()
        with pytest.raises(AutoReconnect):
            async with choice.open(gone, WATCH, 10, 200):
                pass
        names = [choice.name]
        await server.start()
        async with choice.open(back, WATCH, 10, 200):
            names.append(choice.name)
    assert names == [None, "wire"]


@pytest.mark.parametrize(
    ("head", "rest"),
    [
        pytest.param((26, 7, 2, 2013, 0, 0), b"\x05\0\0\0\0", id="the answer to another question"),
        pytest.param((26, 7, 1, 2012, 0, 0), b"\x05\0\0\0\0", id="compressed, though the question was not"),
        pytest.param((26, 7, 1, 2013, 1, 0), b"\x05\0\0\0\0", id="with a checksum, which was not asked for"),
        pytest.param((26, 7, 1, 2013, 0, 1), b"\x05\0\0\0\0", id="not a document"),
        pytest.param((25, 7, 1, 2013, 0, 0), b"\x05\0\0\0\0", id="longer than it says"),
        pytest.param((2**31 - 1, 7, 1, 2013, 0, 0), b"\x05\0\0\0\0", id="larger than any message may be"),
        pytest.param((-1, 7, 1, 2013, 0, 0), b"\x05\0\0\0\0", id="less than nothing"),
    ],
)
async def test_a_malformed_reply_ends_the_cursor(server: Mongod, head: tuple[int, ...], rest: bytes) -> None:
    async with database_of(server) as database:
        async with server_cursor(database, WATCH, 10, 30_000) as cursor:
            cursor.prefetch()
            cursor._wire.data_received(struct.pack("<iiiiIB", *head) + rest)
            with pytest.raises(ProtocolError):
                await asyncio.wait_for(cursor.next_batch(list), HANGS)
            assert not cursor.is_open
        async with server_cursor(database, WATCH, 10, 100) as cursor:
            assert await cursor.next_batch(list) == []


async def test_an_unrequested_message_ends_the_connection(server: Mongod) -> None:
    async with database_of(server) as database, server_cursor(database, WATCH, 10, 100) as cursor:
        cursor._wire.data_received(struct.pack("<iiiiIB", 26, 7, 1, 2013, 0, 0) + b"\x05\0\0\0\0")
        with pytest.raises(AutoReconnect):
            await asyncio.wait_for(cursor.next_batch(list), HANGS)


async def test_a_watch_over_the_server_that_fails_itself_ends_the_connection(
    server: Mongod, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a silent server would go unnoticed."""

    async def watch(_: MongoWire) -> None:
        await asyncio.sleep(0.05)
        raise LookupError("odd")

    monkeypatch.setattr(MongoWire, "watch", watch)
    async with database_of(server) as database, server_cursor(database, WATCH, 10, 30_000) as cursor:
        async with asyncio.timeout(HANGS):
            with pytest.raises(AutoReconnect, match="odd"):
                await cursor.next_batch(list)
