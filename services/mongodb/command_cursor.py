"""Reads a cursor of MongoDB by PyMongo's public commands alone: slower than over a connection of one's own, but safe.

PyMongo chooses a server for each command, so that after an election the new primary is asked, which does not know the
cursor: an error that says to open it again. Behind several mongos that may happen at any time, and then as often.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from bson import Int64
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from services.mongodb.cursor import Documents

_KILL_SECONDS = 1.0

T = TypeVar("T")


class CommandCursor:
    """An open cursor; each question is a task, so that it can be asked before its answer is wanted."""

    def __init__(
        self,
        database: "AsyncDatabase[Any]",
        session: AsyncClientSession,
        reply: Mapping[str, Any],
        most: int,
        await_ms: int,
    ) -> None:
        self._database = database
        self._session = session
        self._collection = reply["cursor"]["ns"].partition(".")[2]
        self.is_open = True
        self.token = ""
        self._first = self._taken(reply, "firstBatch")
        self._answer: asyncio.Task[Mapping[str, Any]] | None = None
        self._question = {
            "getMore": Int64(reply["cursor"]["id"]),
            "collection": self._collection,
            "batchSize": most,
            "maxTimeMS": await_ms,
        }

    def ask(self) -> None:
        """Let MongoDB find the next documents meanwhile; without it, `more` asks."""
        if self._answer is None and not self._first and self.is_open:
            self._answer = asyncio.create_task(self._command(self._question))

    async def more(self, take: Callable[[Documents], T]) -> T:
        """Return what ``take`` makes of the documents that come next, as `Cursor` says."""
        if self._first:
            first, self._first = self._first, []
            return take(first)
        self.ask()
        if self._answer is None or not self.is_open:
            return take([])
        try:
            reply = await self._answer
            self._answer = None
            return take(self._taken(reply, "nextBatch"))
        except PyMongoError:
            self.is_open, self._id = False, Int64(0)  # MongoDB has no such cursor any more, or cannot be told now
            raise
        except BaseException:
            self.is_open = False  # or what was not taken would be left out
            raise

    def _taken(self, reply: Mapping[str, Any], batch: str) -> Documents:
        cursor = reply["cursor"]
        self._id = Int64(cursor["id"])  # 0 where MongoDB has closed it itself
        self.is_open = self._id != 0
        if (token := cursor.get("postBatchResumeToken")) is not None:
            self.token = token["_data"]
        documents: Documents = cursor[batch]
        return documents

    async def _command(self, command: Mapping[str, Any]) -> Mapping[str, Any]:
        return await run_read(self._database, command, self._session)

    async def close(self) -> None:
        """Ask no more, and let MongoDB forget the cursor."""
        if self._answer is not None:
            self._answer.cancel()  # which closes its connection, and so ends what MongoDB does for it
            await asyncio.gather(self._answer, return_exceptions=True)
        if self._id:
            with suppress(PyMongoError, TimeoutError):
                async with asyncio.timeout(_KILL_SECONDS):
                    await self._command({"killCursors": self._collection, "cursors": [self._id]})


@asynccontextmanager
async def command_cursor(
    database: "AsyncDatabase[Any]", pipeline: Sequence[Mapping[str, Any]], most: int, await_ms: int
) -> AsyncIterator[CommandCursor]:
    """Open such a cursor meanwhile, as `OpenCursor` says."""
    # One session for all of its commands: MongoDB refuses a cursor to every session but its own.
    async with database.client.start_session(causal_consistency=False) as session:
        aggregate = {"aggregate": 1, "pipeline": pipeline, "cursor": {"batchSize": most}}
        reply = await run_read(database, aggregate, session)
        cursor = CommandCursor(database, session, reply, most, await_ms)
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
