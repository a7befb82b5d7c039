"""The orders in MongoDB: reads are exact snapshots, writes return their commit time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self, TypeVar

from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient, ReturnDocument, WriteConcern, errors
from pymongo.asynchronous.database import AsyncDatabase

from services.common.cursor import cluster_time
from services.common.dependency_metrics import Dependency
from services.common.documents import CODEC, Json
from services.common.fair_turns import OWN, FairTurns, Pace
from services.common.filter_fields import deciding_fields
from services.common.ids import parse_id
from services.common.order_json import order_json
from services.common.secret_files import unusable_uri
from services.common.stream_spec import ORDERS
from services.gateway.audience import Rights, permits
from services.gateway.batch_loader import BatchLoader
from services.gateway.conditions import exact_matches, ids_condition, permitted, query_conditions
from services.gateway.filters import EVERYTHING, to_text
from services.gateway.in_flight import InFlight
from services.gateway.orders import ListQuery, NewOrder, OrderChange
from services.gateway.page_mark import PageMark
from services.gateway.snapshot import RAW, DecodedOrder, Document, Snapshot, read, read_snapshot
from services.gateway.store_edge import StoreEdge, TimeLimit, driver_timeout
from services.gateway.store_errors import OrderBusy, OrderNotFound, OutsideRights
from services.mongodb.condition_wait import mend_waits
from services.mongodb.primary import Primary

Order = dict[str, Json]
T = TypeVar("T")

_MAX_BATCH = 100  # orders
_LOCK_PATIENCE = 2.5  # seconds that MongoDB waits for an order that a transaction holds; then nothing was written
_MAX_CHANGES_PER_ORDER = 8  # at once; otherwise changes that wait for one order would take all connections to MongoDB


class OrdersPage(NamedTuple):
    """Orders as they were at cluster time ``at``, exactly; ``next_after`` marks where the next page begins."""

    orders: list[Order]
    next_after: str | None
    at: int
    is_small: bool  # it can be encoded in one step


class Found(NamedTuple):
    """One order as it was at cluster time ``at``, exactly."""

    order: Order
    at: int


class Written(NamedTuple):
    """An order after the write (after a deletion: as it was last), and the cluster time of that change.

    ``at`` is later than the change where the driver had to send the write twice (a failover), or where the write
    changed nothing (the same values within one millisecond); None where the server does not report it.
    """

    order: Order
    at: int | None


class _Asked(NamedTuple):
    """An order that is asked for, and the rights of those who ask: a read is shared by equal rights only."""

    id: str
    rights: Rights


class OrderStore:
    """Reads and writes orders; every method raises StoreError, most kinds of which concern writes only.

    Ids are canonical texts (`services.common.ids`). Orders outside the given ``rights`` do not exist: each query
    excludes them itself, so that neither the answer nor its time tells that they do.
    """

    def __init__(
        self,
        database: AsyncDatabase[Document],
        collection: str = ORDERS.collection,
        patience: float = 5.0,
        primary: Primary | None = None,
    ) -> None:
        # Majority: an acknowledged write is in the change stream at once and survives a failover.
        self._database = database.with_options(codec_options=CODEC, write_concern=WriteConcern("majority"))
        self._orders = self._database[collection]
        self._raw_orders = self._orders.with_options(codec_options=RAW)
        self._patience = patience
        self._changes_in_flight = InFlight(_MAX_CHANGES_PER_ORDER)
        self._edge = StoreEdge(self._database, collection, patience)
        self.primary = primary or Primary()
        self._turns = FairTurns()  # of reads on behalf of no particular client
        self._loader = BatchLoader(self._find_orders, _MAX_BATCH)

    @property
    def dependency(self) -> Dependency:
        """The state of MongoDB for the metrics."""
        return self._edge.reachability.dependency

    async def keep_checked(self) -> None:
        """Keep the state of MongoDB and of the collection true, for ever."""
        await self._edge.reachability.keep_checked(self.check)

    @classmethod
    @asynccontextmanager
    async def open(cls, uri: str, *, collection: str = ORDERS.collection, patience: float = 5.0) -> AsyncIterator[Self]:
        """Open a store for the database in ``uri``, and close its connections at the end.

        ``patience`` bounds every operation in seconds, retries included. Raises ValueError for a wrong address; an
        unreachable MongoDB is not an error here.
        """
        primary = Primary()
        mend_waits()
        try:
            client: AsyncMongoClient[Document] = AsyncMongoClient(
                uri,
                appname="orders-gateway",
                event_listeners=[primary],
                connectTimeoutMS=2000,  # with the next: a frozen primary is noticed within seconds, not half a minute
                heartbeatFrequencyMS=2000,
                serverSelectionTimeoutMS=2500,
                waitQueueTimeoutMS=2500,
            )
        except (errors.ConfigurationError, ValueError, OSError) as error:
            raise unusable_uri("MONGODB_URI", uri, error) from None
        try:
            yield cls(client.get_default_database("realtime_orders"), collection, patience, primary)
        finally:
            await client.close()

    @property
    def database(self) -> AsyncDatabase[Document]:
        """The database of the orders, for reading its history."""
        return self._database

    async def check(self) -> str:
        """Ask the primary; return the same as `mongodb_state` does."""
        return await self._edge.check()

    def mongodb_state(self) -> str:
        """Return "ok" when the primary answered last, else what is wrong."""
        return self._edge.reachability.state

    def collection_state(self) -> str:
        """Return "ok" when the collection is of a kind that can be served, else what is wrong and what to do."""
        return self._edge.kind.state

    async def page(self, query: ListQuery, pace: Pace | None = None, rights: Rights = EVERYTHING) -> OrdersPage:
        """Return one page of orders, newest id first, read at the ``pace`` given."""
        conditions = query_conditions(query)
        if query.after is not None and query.after.below is not None:
            # $expr compares across BSON types (a plain $lt would end the list at the first id of another type), and
            # $literal keeps the mark's value from being read as an expression.
            conditions["$expr"] = {"$lt": ["$_id", {"$literal": parse_id(query.after.below)}]}
        skip = 0 if query.after is None else query.after.skip
        conditions = permitted(conditions, rights)
        found, at, is_truncated, is_small = await self._read(conditions, query.limit + 1, pace, skip)
        found = _permitted(found, rights)
        page = found[: query.limit]
        more = is_truncated or len(found) > query.limit
        mark = PageMark.following([each.id for each in page], query.after) if more else None
        shown = [each.order for each in exact_matches(query, page)]
        return OrdersPage(shown, None if mark is None else str(mark), at, is_small)

    async def get(self, id: str, rights: Rights = EVERYTHING) -> Found:
        """Return one order; raise OrderNotFound."""
        found = await self._loader.get(_Asked(id, rights))
        if found is None:
            raise OrderNotFound(id)
        return found

    async def create(self, new: NewOrder, rights: Rights = EVERYTHING) -> Written:
        """Store a new order; raise OutsideRights."""
        document: Document = {"_id": ObjectId(), **new.model_dump(), "updated_at": _now()}
        if not permits(rights, str(document["_id"]), deciding_fields(document) or {}):
            raise OutsideRights("the new order")
        _, at = await self._write(driver_timeout, self._orders.insert_one, document)
        return Written(order_json(document), at)

    async def update(self, id: str, change: OrderChange, rights: Rights = EVERYTHING) -> Written:
        """Change some fields of an order; raise OrderNotFound, and OutsideRights where it would leave the rights."""
        fields = change.fields()
        # It must fit before and after, which one query decides: nobody can change the order in between.
        document, at = await self._change(
            id,
            rights,
            self._raw_orders.find_one_and_update,
            permitted(permitted(ids_condition([id]), rights), rights, fields),
            {"$set": {**fields, "updated_at": _now()}},
            return_document=ReturnDocument.AFTER,
        )
        if document is None and rights != EVERYTHING and await self._loader.get(_Asked(id, rights)) is not None:
            raise OutsideRights(id)
        return await _written(id, document, at)

    async def delete(self, id: str, rights: Rights = EVERYTHING) -> Written:
        """Remove an order and return what it was; raise OrderNotFound."""
        condition = permitted(ids_condition([id]), rights)
        document, at = await self._change(id, rights, self._raw_orders.find_one_and_delete, condition)
        return await _written(id, document, at)

    async def _find_orders(self, asked: Sequence[_Asked]) -> Mapping[_Asked, Found]:
        """Return the orders that exist, each for those who may see it."""
        conditions = [permitted(ids_condition([each.id]), each.rights) for each in asked]
        condition = conditions[0] if len(conditions) == 1 else {"$or": conditions}
        found, at, is_truncated, _ = await self._read(condition, len(asked))
        by_id = {each.id: each for each in found}
        known = {
            each: Found(order.order, at)
            for each in asked
            if (order := by_id.get(each.id)) is not None and permits(each.rights, order.id, order.fields)
        }
        left = [each for each in asked if each.id not in by_id] if is_truncated else []
        # By halves, not all again: the results need not be among the requested ids, because to MongoDB equal numbers of
        # different types are the same id.
        for some in (left[: len(asked) // 2], left[len(asked) // 2 :]):
            if some:
                known |= await self._find_orders(some)
        return known

    async def _read(self, conditions: Document, limit: int, pace: Pace | None = None, skip: int = 0) -> Snapshot:
        async with self._edge(driver_timeout, writing=False):
            return await read_snapshot(self._orders, conditions, limit, pace or Pace(self._turns, OWN), skip)

    async def _change(
        self, id: str, rights: Rights, operation: Callable[..., Awaitable[T]], *args: Any, **options: Any
    ) -> tuple[T, int | None]:
        """Change an existing order; give up after a while where a transaction holds it."""
        # Not for those who may not see the order: that others change it must not keep them waiting.
        account = f"{id}~{to_text(rights)}"
        # Not limited by the driver: it would allow MongoDB all of our time, and we would miss the reply.
        held = int(min(_LOCK_PATIENCE, self._patience / 2) * 1000)
        async with AsyncExitStack() as turn:
            try:
                async with asyncio.timeout(_LOCK_PATIENCE):
                    await turn.enter_async_context(self._changes_in_flight.slot(account))
            except TimeoutError as error:
                raise OrderBusy("too many other changes wait for it") from error
            return await self._write(asyncio.timeout, operation, *args, maxTimeMS=held, **options)

    async def _write(
        self, bound: TimeLimit, operation: Callable[..., Awaitable[T]], *args: Any, **options: Any
    ) -> tuple[T, int | None]:
        """Return the result of the driver's operation, and the cluster time of its change."""
        # A session for this write only: its operation time is then that of this write and no other. Not causally
        # consistent, because there are no earlier operations.
        alone = self._database.client.start_session(causal_consistency=False)
        async with self._edge(bound, writing=True), alone as session:
            result = await operation(*args, session=session, **options)
        return result, None if session.operation_time is None else cluster_time(session.operation_time)


def _permitted(found: list[DecodedOrder], rights: Rights) -> list[DecodedOrder]:
    """Compare once more, as live events are: a condition that lets too much through must not show it."""
    return found if rights == EVERYTHING else [each for each in found if permits(rights, each.id, each.fields)]


async def _written(id: str, document: RawBSONDocument | None, at: int | None) -> Written:
    if document is None:
        raise OrderNotFound(id)
    return Written((await read(document)).order, at)


def _now() -> datetime:
    now = datetime.now(UTC)  # truncated to BSON's precision, so that the reply equals the stored value
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
