"""Reads a cursor of MongoDB by PyMongo's public commands alone: slower than over a connection of one's own, but safe.

PyMongo chooses a server for each command, so that after an election the new primary is asked, which does not know the
cursor: an error that says to open it again. Behind several mongos that may happen at any time, and then as often.
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
    """An open cursor; each question is a task, so that it can be asked before its answer is wanted."""

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
        """Let MongoDB find the next documents meanwhile; without it, `next_batch` asks."""
        if self._reply is None and not self._first_batch and self.is_open:
            self._reply = asyncio.create_task(self._command(self._get_more))

    async def next_batch(self, consume: Callable[[Documents], T]) -> T:
        """Return what ``consume`` makes of the documents that come next, as `ChangeCursor` says."""
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
            self.is_open = False  # or what was not taken would be left out
            raise

    async def _command(self, command: Mapping[str, Any]) -> Mapping[str, Any]:
        return await run_read(self._database, command, self._session)

    async def close(self) -> None:
        """Ask no more, and let MongoDB forget the cursor."""
        if self._reply is not None:
            self._reply.cancel()  # which closes its connection, and so ends what MongoDB does for it
            await asyncio.gather(self._reply, return_exceptions=True)
        if self._id:
            with suppress(PyMongoError, TimeoutError):
                async with asyncio.timeout(KILL_SECONDS):
                    await self._command(self._kill_command())


@asynccontextmanager
async def command_cursor(
    database: "AsyncDatabase[Any]", pipeline: Sequence[Mapping[str, Any]], batch_size: int, await_ms: int
) -> AsyncIterator[CommandCursor]:
    """Open such a cursor meanwhile, as `OpenCursor` says."""
    # One session for all of its commands: MongoDB refuses a cursor to every session but its own.
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
    """Run a command on a server that ``database`` reads from, and return its reply, decoded as that says."""
    reply: Mapping[str, Any] = await database.command(
        dict(command), read_preference=database.read_preference, codec_options=database.codec_options, session=session
    )
    return reply
