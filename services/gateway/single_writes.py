"""Writes of one order that are one command of MongoDB each: without a condition, and without an answer to keep."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from typing import Any, NamedTuple, TypeVar

from bson.raw_bson import RawBSONDocument
from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection

from services.common.cursor import cluster_time
from services.common.documents import Json
from services.common.filter_fields import deciding_fields
from services.common.order_json import order_json
from services.common.visible_fields import VisibleFields
from services.gateway.audience import Rights, permits
from services.gateway.conditions import ids_condition, permitted
from services.gateway.decoded_order import read
from services.gateway.filters import EVERYTHING, to_text
from services.gateway.in_flight import InFlight
from services.gateway.order_document import changed_fields, new_document
from services.gateway.orders import NewOrder, OrderChange
from services.gateway.plain_inserts import PlainInserts
from services.gateway.snapshot_read import RAW, Document
from services.gateway.store_edge import StoreEdge, TimeLimit, driver_timeout
from services.gateway.store_errors import OrderBusy, OrderNotFound, OutcomeUnknown, OutsideRights, StoreUnavailable
from services.gateway.transactions import Transactions

T = TypeVar("T")
GateSlot = AbstractAsyncContextManager[None]
"""A slot of the `MongodbGate`, to be held while MongoDB works."""

_LOCK_PATIENCE = 0.6  # seconds that MongoDB waits for an order that a transaction holds; then nothing was written
_MAX_CHANGES_PER_ORDER = 8  # at once; otherwise changes that wait for one order would take all connections to MongoDB


class Written(NamedTuple):
    """An order after the write (after a deletion: as it was last), the cluster time of that change, and its ordinal.

    ``at`` is later than the change where the driver had to send the write twice (a failover), or where the write
    changed nothing (the same values within one millisecond); None where the server does not report it.
    """

    order: dict[str, Json]
    at: int | None
    ordinal: int = 0  # 0 of a write outside a transaction, which has its cluster time to itself
    is_large: bool = False  # what is done with all of it is done in a thread


class SingleWrites:
    """Each method raises StoreError, and returns when a majority has the write.

    ``exists`` tells whether those with these rights see an order.
    """

    def __init__(
        self,
        orders: AsyncCollection[Document],
        edge: StoreEdge,
        transactions: Transactions,
        exists: Callable[[str, Rights], Awaitable[bool]],
        patience: float,
        visible: VisibleFields,
    ) -> None:
        self._orders = orders
        self._raw_orders = orders.with_options(codec_options=RAW)
        self._edge = edge
        self._exists = exists
        self._lock_patience = min(_LOCK_PATIENCE, patience / 2)
        self._visible = visible
        self._changes_in_flight = InFlight(_MAX_CHANGES_PER_ORDER)
        self._inserts = PlainInserts(orders, transactions, self._insert_one)

    async def create(self, new: NewOrder, rights: Rights) -> Written:
        """Store a new order; raise OutsideRights."""
        document = new_document(new)
        if rights != EVERYTHING and not permits(rights, str(document["_id"]), deciding_fields(document) or {}):
            raise OutsideRights("the new order")
        stored = await self._inserts.insert(document)
        return Written(order_json(document, self._visible), stored.at, stored.ordinal)

    async def update(self, id: str, change: OrderChange, rights: Rights, slot: GateSlot | None) -> Written:
        """Change some fields of an order; raise OrderNotFound, and OutsideRights where it would leave the rights."""
        fields = change.fields()
        # It must fit before and after, which one query decides: nobody can change the order in between.
        document, at = await self._change(
            id,
            rights,
            self._raw_orders.find_one_and_update,
            permitted(permitted(ids_condition([id]), rights), rights, fields),
            {"$set": changed_fields(change)},
            slot=slot,
            return_document=ReturnDocument.AFTER,
        )
        if document is None and rights != EVERYTHING and await self._exists(id, rights):
            raise OutsideRights(id)
        return await self._written(id, document, at)

    async def delete(self, id: str, rights: Rights, slot: GateSlot | None) -> Written:
        """Remove an order and return what it was; raise OrderNotFound."""
        condition = permitted(ids_condition([id]), rights)
        document, at = await self._change(id, rights, self._raw_orders.find_one_and_delete, condition, slot=slot)
        return await self._written(id, document, at)

    async def _insert_one(self, document: Document) -> int | None:
        try:
            _, at = await self._write(driver_timeout, self._orders.insert_one, document)
        except OrderBusy as error:  # MongoDB ran out of time, perhaps while the driver repeated what was done already
            raise OutcomeUnknown("MongoDB did not confirm the new order in time") from error
        return at

    async def _written(self, id: str, document: RawBSONDocument | None, at: int | None) -> Written:
        if document is None:
            raise OrderNotFound(id)
        found = await read(document, self._visible)
        return Written(found.order, at, is_large=found.is_large)

    async def _change(
        self,
        id: str,
        rights: Rights,
        operation: Callable[..., Awaitable[T]],
        *args: Any,
        slot: GateSlot | None,
        **options: Any,
    ) -> tuple[T, int | None]:
        """Change an existing order; give up after a while where a transaction holds it.

        Changes of the same order wait for each other before they take a ``slot``, or they would take all slots.
        """
        # Clients of different rights do not wait for each other: the wait would tell that an order exists.
        account = f"{id}~{to_text(rights)}"
        # Not limited by the driver: it would allow MongoDB all of our time, and we would miss the reply.
        held = int(self._lock_patience * 1000)
        async with AsyncExitStack() as turn:
            try:
                async with asyncio.timeout(self._lock_patience):
                    await turn.enter_async_context(self._changes_in_flight.slot(account))
            except TimeoutError as error:
                if not await self._edge.answers():
                    raise StoreUnavailable("MongoDB does not answer") from error
                raise OrderBusy("too many other changes wait for it") from error
            async with slot or nullcontext():
                return await self._write(asyncio.timeout, operation, *args, maxTimeMS=held, **options)

    async def _write(
        self, bound: TimeLimit, operation: Callable[..., Awaitable[T]], *args: Any, **options: Any
    ) -> tuple[T, int | None]:
        """Return the result of the driver's operation, and the cluster time of its change."""
        # A session for this write only: its operation time is then that of this write and no other. Not causally
        # consistent, because there are no earlier operations.
        alone = self._orders.database.client.start_session(causal_consistency=False)
        async with self._edge(bound, writing=True), alone as session:
            result = await operation(*args, session=session, **options)
        return result, None if session.operation_time is None else cluster_time(session.operation_time)
