"""Reads a cursor of MongoDB over a dedicated connection, faster than PyMongo's cursors."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import bson
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure, PyMongoError

from services.mongodb.change_cursor import Documents
from services.mongodb.cursor_state import KILL_SECONDS, CursorState
from services.mongodb.wire import MongoWire, mongo_wire

T = TypeVar("T")


class ServerCursor(CursorState):
    """The cursor that ``reply`` opened; further batches of ``batch_size`` documents are requested over ``wire``."""

    def __init__(
        self, database: "AsyncDatabase[Any]", wire: MongoWire, reply: Mapping[str, Any], batch_size: int, await_ms: int
    ) -> None:
        super().__init__(reply, batch_size, await_ms)
        self._database = database
        self._codec = database.codec_options
        self._wire = wire
        self._is_requested = False
        self._get_more_message = wire.encode(self._get_more | {"$db": database.name})

    async def next_batch(self, consume: Callable[[Documents], T]) -> T:
        """Return ``consume``'s result for the next batch; see `ChangeCursor`.

        ``consume`` is called before any task wakes up. An error or a cancellation closes the connection.
        """
        if self._first_batch:
            first, self._first_batch = self._first_batch, []
            return consume(first)
        if not self.is_open:
            return consume([])
        self.prefetch()
        try:
            return await self._wire.receive(partial(self._read, consume))
        except PyMongoError as error:
            self._mark_failed()
            await self._wire.report(error)
            raise
        except BaseException:
            self.is_open = False  # or documents that were not consumed would be skipped
            raise

    def _read(self, consume: Callable[[Documents], T], answer: memoryview) -> T:
        self._is_requested = False
        reply = bson.decode(answer, self._codec)
        if not reply["ok"]:
            raise OperationFailure(reply.get("errmsg", ""), reply.get("code"), reply)
        return consume(self._unpack(reply, "nextBatch"))

    def prefetch(self) -> None:
        """Request the next batch ahead of `next_batch`."""
        if not self._is_requested and not self._first_batch and self.is_open:
            self._is_requested = True
            self._wire.send(self._get_more_message)

    async def kill(self) -> None:
        """Kill the cursor over another connection: on this one, a reply may be in flight."""
        if self._id:
            command = self._kill_command()
            with suppress(PyMongoError, TimeoutError):
                async with asyncio.timeout(KILL_SECONDS):
                    await self._database.command(command, read_preference=self._database.read_preference)


@asynccontextmanager
async def server_cursor(
    database: "AsyncDatabase[Any]", pipeline: Sequence[Mapping[str, Any]], batch_size: int, await_ms: int
) -> AsyncIterator[ServerCursor]:
    """Open such a cursor; see `OpenCursor`."""
    aggregate = {"aggregate": 1, "pipeline": pipeline, "cursor": {"batchSize": batch_size}}
    async with mongo_wire(database, aggregate) as (wire, reply):
        cursor = ServerCursor(database, wire, reply, batch_size, await_ms)
        try:
            yield cursor
        finally:
            await cursor.kill()
