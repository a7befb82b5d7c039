"""What a leader logs about its change stream: one line for each time that it could go on."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import AutoReconnect
from structlog.testing import capture_logs

from services.common.dependency_health import DependencyHealth
from services.common.visible_fields import ALL_FIELDS
from services.mongodb.change_cursor import ChangeCursor, OpenCursor
from services.mongodb.change_stream import ChangeStream
from services.mongodb.primary import Primary
from services.mongodb.server_cursor import server_cursor
from services.watcher.leader import Leader, Parts
from services.watcher.metrics import WatcherMetrics
from services.watcher.oplog import OplogWindow
from services.watcher.relay import RelayBounds
from services.watcher.state import StreamState
from tests.integration.watched_orders import JOHN, Stack
from tests.log_entries import new_publisher
from tests.waiting import HANGS, cancel_all, until

RESUMED = "Resumed after the last published change"


@asynccontextmanager
async def leading(stack: Stack, open_cursor: OpenCursor) -> AsyncIterator[Sequence[str]]:
    """Run a leader that goes on where a watcher has stopped; give the sentences that it logs."""
    watcher = await stack.watcher()
    await until(stack.state, "the checkpoint is saved")
    await watcher.stop()
    async with AsyncMongoClient[dict[str, Any]](stack.mongodb_uri) as client:
        database, metrics = client.get_default_database(), WatcherMetrics()
        parts = Parts(
            stream=ChangeStream(database, "orders", Primary(), 20, open_cursor),
            state=StreamState(database["stream_state"], "orders", 5),
            bounds=RelayBounds(100, 100),
            visible=ALL_FIELDS,
            window=10,
            metrics=metrics,
            mongodb=DependencyHealth("mongodb"),
            redis=DependencyHealth("redis"),
            oplog=OplogWindow(client, 0, metrics),
        )
        term = await parts.state.acquire()
        assert term is not None
        sentences: list[str] = []
        with capture_logs() as logged:
            task = asyncio.create_task(Leader(parts, new_publisher(stack.redis, term), term).lead())
            yield sentences
            await cancel_all(task)
        sentences += [entry["event"] for entry in logged]


async def test_a_stream_that_opens_at_the_third_attempt_was_resumed_once(stack: Stack) -> None:
    attempts = 0

    @asynccontextmanager
    async def opens_at_the_third_attempt(
        database: "AsyncDatabase[Any]", pipeline: Sequence[Mapping[str, Any]], batch_size: int, await_ms: int
    ) -> AsyncIterator[ChangeCursor]:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise AutoReconnect("not ready yet")
        async with server_cursor(database, pipeline, batch_size, await_ms) as cursor:
            yield cursor

    async with leading(stack, opens_at_the_third_attempt) as sentences:
        await stack.orders.insert_one({**JOHN})
        await stack.log_of(1)
    assert attempts == 3
    assert sentences.count(RESUMED) == 1


async def test_a_term_that_ended_while_the_stream_was_opened_does_not_resume(stack: Stack) -> None:
    closed = asyncio.Event()

    @asynccontextmanager
    async def swallows_a_cancellation(
        database: "AsyncDatabase[Any]", pipeline: Sequence[Mapping[str, Any]], batch_size: int, await_ms: int
    ) -> AsyncIterator[ChangeCursor]:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(10)
        async with server_cursor(database, pipeline, batch_size, await_ms) as cursor:
            try:
                yield cursor
            finally:
                closed.set()

    async with leading(stack, swallows_a_cancellation) as sentences:
        await asyncio.wait_for(closed.wait(), HANGS)
    assert RESUMED not in sentences
