"""Reads all of a list by cursors of MongoDB, one batch after the other, as of one moment."""

from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple

from bson import Timestamp
from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.client_session import AsyncClientSession

from services.common.cursor import cluster_time
from services.common.fair_turns import Pace
from services.gateway.audience import Rights
from services.gateway.decoded_order import is_large, read_each
from services.gateway.list_query import ListQuery
from services.gateway.list_reading import Order, Reading
from services.gateway.list_source import ListSource
from services.gateway.snapshot_read import Reply


class ExportBatch(NamedTuple):
    """Some orders of an export; where one ``is_large``, what is done with all of it is done in a thread."""

    orders: list[Order]
    is_large: bool


class Export(NamedTuple):
    """The orders of a list as they were at cluster time ``at``, batch by batch."""

    at: int
    batches: AsyncGenerator[ExportBatch]


class ExportReading(Reading):
    """Reads all, batch by batch."""

    def __init__(
        self, source: ListSource, query: ListQuery, rights: Rights, pace: Pace, session: AsyncClientSession
    ) -> None:
        super().__init__(source, query, rights, pace, is_head=False)
        self._session = session
        self._steps = self.steps()
        self._cursor = 0
        self._left = query.limit if "limit" in query.model_fields_set else None

    async def begin(self) -> int:
        """Ask the first question, and return the time of the snapshot."""
        self._step = next(self._steps)
        self._reply = await self._open(None)
        self._time = self._reply.time
        return cluster_time(self._time)

    async def _open(self, at: Timestamp | None) -> Reply:
        asked = self.question(self._step, at)
        reply = await self._source.open(asked, self._pace, self._session)
        self._cursor = reply.cursor
        if self.skip:
            if len(reply.batch):
                self.skip = 0
            else:
                await self.skip_on(asked._replace(at=reply.time, skip=0))
        return reply

    async def batches(self) -> AsyncGenerator[ExportBatch]:
        """Give the orders; to be read once."""
        raw: Sequence[RawBSONDocument] = self._reply.raw["cursor"]["firstBatch"]
        while True:
            if orders := await self._orders(raw):
                yield ExportBatch(orders, any(map(is_large, raw)))
            if self._left == 0:
                return
            if self._cursor:
                cursor = (await self._source.more(self._cursor, self._session))["cursor"]
                self._cursor, raw = cursor["id"], cursor["nextBatch"]
                continue
            step = next(self._steps, None)
            if step is None:
                return
            self._step = step
            raw = (await self._open(self._time)).raw["cursor"]["firstBatch"]

    async def _orders(self, raw: Sequence[RawBSONDocument]) -> list[Order]:
        if self._left is not None:
            raw = raw[: self._left]
            self._left -= len(raw)
        await self._pace.begin()
        decoded = await read_each(raw, self._pace, self._source.visible)
        return self.shown(await self.listed(self._step, decoded, lambda: raw))

    async def close(self) -> None:
        """End the cursor."""
        if self._cursor:
            await self._source.kill(self._cursor, self._session)
