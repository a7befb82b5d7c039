"""The lists of orders: a page, how many there are, or all of them; exact, as of one moment, and each by an index."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from bson import Timestamp
from pymongo.asynchronous.collection import AsyncCollection

from services.common.fair_turns import INTERNAL, FairTurns, Pace
from services.common.visible_fields import VisibleFields
from services.gateway.audience import Rights
from services.gateway.filters import EVERYTHING
from services.gateway.input_rules import FieldFault, InvalidInput
from services.gateway.list_export import Export, ExportReading
from services.gateway.list_plan import check, count_question, fields_compared
from services.gateway.list_query import ListQuery, require_visible
from services.gateway.list_reading import OrdersPage, PageReading
from services.gateway.list_source import ListSource, Read
from services.gateway.snapshot_read import Document
from services.gateway.store_edge import StoreEdge
from services.gateway.store_errors import SnapshotTooOld

_ATTEMPTS = 3
COUNTED = 5_000  # orders; beyond, it is said that there are more: each costs MongoDB a microsecond


class OrderLists:
    """Reads lists; every method raises StoreError, and InvalidInput where no index serves the list."""

    def __init__(
        self, collection: AsyncCollection[Document], edge: StoreEdge, read: Read, visible: VisibleFields
    ) -> None:
        self._source = ListSource(collection, edge, read, visible)
        self._visible = visible
        self._turns = FairTurns()  # of reads on behalf of no particular client

    async def page(
        self, query: ListQuery, pace: Pace | None = None, rights: Rights = EVERYTHING, *, is_head: bool = False
    ) -> OrdersPage:
        """Return one page, read at the ``pace`` given; with ``is_head`` only what its headers need."""
        await self._prepare(query, rights)
        for _ in range(_ATTEMPTS - 1):
            with suppress(SnapshotTooOld):  # an index, or the collection, was made anew between two reads of it
                return await self._page(query, pace or Pace(self._turns, INTERNAL), rights, is_head=is_head)
        return await self._page(query, pace or Pace(self._turns, INTERNAL), rights, is_head=is_head)

    async def _page(self, query: ListQuery, pace: Pace, rights: Rights, *, is_head: bool) -> OrdersPage:
        reading = PageReading(self._source, query, rights, pace, is_head=is_head)
        await reading.read()
        total = await self._count(query, rights, reading.time) if query.count else None
        return reading.page(total)

    @asynccontextmanager
    async def export(self, query: ListQuery, pace: Pace, rights: Rights = EVERYTHING) -> AsyncIterator[Export]:
        """Give the orders of the list, `limit` of them where it is given, or all."""
        await self._prepare(query, rights)
        async with self._source.session() as session:
            exporting = ExportReading(self._source, query, rights, pace, session)
            try:
                yield Export(await exporting.begin(), exporting.batches())
            finally:
                await exporting.close()

    async def _prepare(self, query: ListQuery, rights: Rights) -> None:
        require_visible(query, self._visible)
        check(query, rights)
        if (
            query.is_by_id
            and not query.count
            and not (query.id or query.status or query.customer_name or rights != EVERYTHING)
        ):
            return
        await self._source.learn_indexes()
        if query.q is not None and self._source.has_collation:
            why = (
                "cannot be served: the collection has a collation, and its indexes cannot find texts by their beginning"
            )
            raise InvalidInput([FieldFault("q", why)])

    async def _count(self, query: ListQuery, rights: Rights, at: Timestamp) -> int:
        asked = count_question(
            query,
            rights,
            has_arrays=await self._source.has_arrays(fields_compared(query), at),
            has_collation=self._source.has_collation,
        )
        return await self._source.count(asked._replace(at=at), COUNTED + 1)
