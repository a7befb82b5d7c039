"""Asks MongoDB the questions of a list: for some orders, for a cursor over all of them, or for how many there are."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from bson import Timestamp
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import errors
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection

from services.common.fair_turns import Pace
from services.common.order_indexes import arrays_of
from services.common.visible_fields import VisibleFields
from services.gateway.list_indexes import ListIndexes, names_unknown_index
from services.gateway.snapshot_read import Document, Question, Reply, Snapshot, first_reply
from services.gateway.store_edge import StoreEdge, driver_timeout
from services.gateway.store_errors import StoreFailed
from services.mongodb.cursor_state import KILL_SECONDS

_RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
EXPORT_BATCH = 200  # orders that MongoDB sends at once


Read = Callable[..., Awaitable[Snapshot]]
"""Reads a bounded number of orders: called with conditions, limit, pace, skip, and what else a `Question` has."""


class ListSource:
    """The collection of orders, for lists; every method raises StoreError."""

    def __init__(
        self, collection: AsyncCollection[Document], edge: StoreEdge, read: Read, visible: VisibleFields
    ) -> None:
        self.visible = visible
        self._read = read
        self._orders = collection
        self._edge = edge
        self._indexes = ListIndexes(collection)

    async def learn_indexes(self) -> None:
        """Learn which indexes there are, unless it is known."""
        async with self._edge(driver_timeout, writing=False):
            await self._indexes.refresh()

    @property
    def has_collation(self) -> bool:
        """Whether the collection compares texts by the rules of a language."""
        return self._indexes.has_collation

    def session(self) -> AsyncClientSession:
        """Return a session for one cursor: MongoDB refuses it to any other session."""
        return self._orders.database.client.start_session(causal_consistency=False)

    async def ask(self, asked: Question, limit: int, pace: Pace) -> Snapshot:
        """Return the answer to one question."""
        hinted = self._hinted(asked)
        try:
            return await self._read(asked.conditions, limit, pace, asked.skip, **hinted.more())
        except StoreFailed as error:
            if not names_unknown_index(error.__cause__):
                raise
            self._indexes.forget()
            return await self._read(asked.conditions, limit, pace, asked.skip, **asked._replace(hint=None).more())

    async def open(self, asked: Question, pace: Pace, session: AsyncClientSession) -> Reply:
        """Return the first reply to a question, whose cursor stays open."""
        async with self._edge(driver_timeout, writing=False):
            return await first_reply(self._orders, self._hinted(asked), EXPORT_BATCH, pace, session)

    async def more(self, cursor: int, session: AsyncClientSession) -> RawBSONDocument:
        """Return the next reply of a cursor."""
        command = {"getMore": cursor, "collection": self._orders.name, "batchSize": EXPORT_BATCH}
        # Not limited by the driver: it would send a limit that MongoDB refuses with this command.
        async with self._edge(asyncio.timeout, writing=False):
            reply: RawBSONDocument = await self._orders.database.command(command, codec_options=_RAW, session=session)
        return reply

    async def kill(self, cursor: int, session: AsyncClientSession) -> None:
        """End a cursor."""
        with suppress(errors.PyMongoError, TimeoutError):
            command = {"killCursors": self._orders.name, "cursors": [cursor]}
            async with asyncio.timeout(KILL_SECONDS):
                await self._orders.database.command(command, session=session)

    async def count(self, asked: Question, limit: int) -> int:
        """Return how many orders match, ``limit`` at most."""
        stages: list[Document] = [{"$match": asked.conditions}, {"$limit": limit}, {"$count": "n"}]
        command = {"aggregate": self._orders.name, "pipeline": stages, "cursor": {}, **self._as_of(asked)}
        async with self._edge(driver_timeout, writing=False):
            reply = await self._orders.database.command(command)
        found = reply["cursor"]["firstBatch"]
        return int(found[0]["n"]) if found else 0

    async def has_arrays(self, fields: Iterable[str], at: Timestamp) -> bool:
        """Return whether any order had an array in one of these fields; also true where no index knows it."""
        return any([await self._has_arrays(field, at) for field in fields])

    async def _has_arrays(self, field: str, at: Timestamp) -> bool:
        asked = Question({field: {"$type": "array"}}, at=at, hint=arrays_of(field))
        if self._indexes.hint(asked.hint) is None:
            return True
        return bool(await self.count(asked, 1))

    def _as_of(self, asked: Question) -> Document:
        concern: Document = {"readConcern": {"level": "snapshot", "atClusterTime": asked.at}}
        hint = self._indexes.hint(asked.hint)
        return concern if hint is None else {**concern, "hint": hint}

    def _hinted(self, asked: Question) -> Question:
        return asked._replace(hint=self._indexes.hint(asked.hint))
