"""Reads a cursor of MongoDB with PyMongo's public commands only: slower than over a dedicated connection, but safe.

PyMongo selects a server for each command: after an election the new primary gets it, does not know the cursor, and
replies with an error, upon which it is reopened. Behind several mongos that may happen at any time, and repeatedly.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from services.mongodb.change_cursor import Documents
from services.mongodb.cursor_state import KILL_SECONDS, CursorState

T = TypeVar("T")


class CommandCursor(CursorState):
    """An open cursor; each command is a task, so that a batch can be prefetched."""

    def __init__(
        self,
        database: "AsyncDatabase[Any]",
        session: AsyncClientSession,
        reply: Mapping[str, Any],
        batch_size: int,
        await_ms: int,
    ) -> None:
        super().__init__(reply, batch_size, await_ms)
        self._database = database
        self._session = session
        self._reply: asyncio.Task[Mapping[str, Any]] | None = None

    def prefetch(self) -> None:
        """Request the next batch ahead of `next_batch`."""
        if self._reply is None and not self._first_batch and self.is_open:
            self._reply = asyncio.create_task(self._command(self._get_more))

    async def next_batch(self, consume: Callable[[Documents], T]) -> T:
        """Return ``consume``'s result for the next batch; see `ChangeCursor`."""
        if self._first_batch:
            first, self._first_batch = self._first_batch, []
            return consume(first)
        self.prefetch()
        if self._reply is None or not self.is_open:
            return consume([])
        try:
            reply = await self._reply
            self._reply = None
            return consume(self._unpack(reply, "nextBatch"))
        except PyMongoError:
            self._mark_failed()
            raise
        except BaseException:
            self.is_open = False  # or documents that were not consumed would be skipped
            raise

    async def _command(self, command: Mapping[str, Any]) -> Mapping[str, Any]:
        return await run_read(self._database, command, self._session)

    async def close(self) -> None:
        """Stop reading and kill the cursor on the server."""
        if self._reply is not None:
            self._reply.cancel()  # which closes its connection, and so ends its work on the server
            await asyncio.gather(self._reply, return_exceptions=True)
        if self._id:
            with suppress(PyMongoError, TimeoutError):
                async with asyncio.timeout(KILL_SECONDS):
                    await self._command(self._kill_command())


@asynccontextmanager
async def command_cursor(
    database: "AsyncDatabase[Any]", pipeline: Sequence[Mapping[str, Any]], batch_size: int, await_ms: int
) -> AsyncIterator[CommandCursor]:
    """Open such a cursor; see `OpenCursor`."""
    # One session for all of its commands: MongoDB refuses a cursor to any other session.
    async with database.client.start_session(causal_consistency=False) as session:
        aggregate = {"aggregate": 1, "pipeline": pipeline, "cursor": {"batchSize": batch_size}}
        reply = await run_read(database, aggregate, session)
        cursor = CommandCursor(database, session, reply, batch_size, await_ms)
        try:
            yield cursor
        finally:
            await cursor.close()


async def run_read(
    database: "AsyncDatabase[Any]", command: Mapping[str, Any], session: AsyncClientSession | None = None
) -> Mapping[str, Any]:
    """Run a command with the read preference of ``database``; return the reply, decoded with its codec options."""
    reply: Mapping[str, Any] = await database.command(
        dict(command), read_preference=database.read_preference, codec_options=database.codec_options, session=session
    )
    return reply
