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
        most: int,
        await_ms: int,
    ) -> None:
        super().__init__(reply, most, await_ms)
        self._database = database
        self._session = session
        self._answer: asyncio.Task[Mapping[str, Any]] | None = None

    def ask(self) -> None:
        """Let MongoDB find the next documents meanwhile; without it, `more` asks."""
        if self._answer is None and not self._first and self.is_open:
            self._answer = asyncio.create_task(self._command(self._get_more))

    async def more(self, take: Callable[[Documents], T]) -> T:
        """Return what ``take`` makes of the documents that come next, as `ChangeCursor` says."""
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
            self._failed()
            raise
        except BaseException:
            self.is_open = False  # or what was not taken would be left out
            raise

    async def _command(self, command: Mapping[str, Any]) -> Mapping[str, Any]:
        return await run_read(self._database, command, self._session)

    async def close(self) -> None:
        """Ask no more, and let MongoDB forget the cursor."""
        if self._answer is not None:
            self._answer.cancel()  # which closes its connection, and so ends what MongoDB does for it
            await asyncio.gather(self._answer, return_exceptions=True)
        if self._id:
            with suppress(PyMongoError, TimeoutError):
                async with asyncio.timeout(KILL_SECONDS):
                    await self._command(self._kill_command())


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
