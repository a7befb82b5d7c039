"""The orders in MongoDB: reads are exact snapshots, writes return their commit time."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Self

from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient, WriteConcern, errors
from pymongo.asynchronous.database import AsyncDatabase

from services.common.cursor import timestamp
from services.common.dependency_metrics import Dependency
from services.common.documents import CODEC, Json
from services.common.fair_turns import INTERNAL, FairTurns, Pace
from services.common.ids import parse_id
from services.common.secret_files import unusable_uri
from services.common.stream_spec import DEFAULT_DATABASE, ORDERS
from services.common.visible_fields import ALL_FIELDS, VisibleFields
from services.gateway.atomic_writes import AtomicWrites
from services.gateway.audience import Audience, Rights, permits
from services.gateway.coalescer import Coalescer
from services.gateway.conditions import ids_condition, interest_conditions, permitted
from services.gateway.decoded_order import read
from services.gateway.filters import EVERYTHING
from services.gateway.kept_answers import KeptAnswers
from services.gateway.list_query import ListQuery
from services.gateway.list_reading import OrdersPage
from services.gateway.mongodb_gate import AT_ONCE, MongodbGate
from services.gateway.order_lists import OrderLists
from services.gateway.orders import NewOrder, OrderChange
from services.gateway.single_writes import GateSlot, SingleWrites, Written
from services.gateway.snapshot_read import Document, Question, Snapshot, read_snapshot
from services.gateway.store_edge import StoreEdge, driver_timeout
from services.gateway.store_errors import OrderNotFound
from services.gateway.transactions import Transactions
from services.mongodb.driver import mend_driver
from services.mongodb.primary import Primary

Order = dict[str, Json]
_MAX_BATCH = 100  # orders
# Seconds that an operation may take, retries included. With the wait for a slot, and for a ping where MongoDB does not
# answer, it is less than three.
PATIENCE = 1.6
_CONFLICT_PATIENCE = 1.0  # seconds for which our own transactions are repeated where they meet others


class OrdersBelow(NamedTuple):
    """Orders of an audience as they were at cluster time ``at``, exactly, newest id first.

    ``last`` is the lowest id that was looked at, ``is_complete`` whether there are no orders below it.
    """

    orders: list[Order]
    at: int
    last: str | None
    is_complete: bool


class Found(NamedTuple):
    """One order as it was at cluster time ``at``, exactly."""

    order: Order
    at: int
    is_large: bool = False


class _Located(NamedTuple):
    """What was found, or only its id where it is large: whoever wants all of it reads it from its ``raw`` form."""

    found: Found
    raw: RawBSONDocument | None


class _Lookup(NamedTuple):
    """An order and the rights of a reader: only readers of equal rights share a result."""

    id: str
    rights: Rights


class OrderStore:
    """Reads and writes orders; every method raises StoreError, most kinds of which concern writes only.

    Callers hold a slot of the ``gate`` meanwhile where they act for a client.

    Ids are canonical texts (`services.common.ids`). Orders outside the given ``rights`` do not exist: each query
    excludes them itself, so that neither the answer nor its time tells that they do. Only the ``visible``
    fields of an order are returned.
    """

    def __init__(
        self,
        database: AsyncDatabase[Document],
        collection: str = ORDERS.collection,
        patience: float = PATIENCE,
        primary: Primary | None = None,
        visible: VisibleFields = ALL_FIELDS,
        at_once: int = AT_ONCE,
    ) -> None:
        # Majority: an acknowledged write is in the change stream at once and survives a failover.
        self._database = database.with_options(codec_options=CODEC, write_concern=WriteConcern("majority"))
        self._orders = self._database[collection]
        self.visible = visible
        self.gate = MongodbGate(at_once)
        self._edge = StoreEdge(self._database, collection, patience, visible)
        self.lists = OrderLists(self._orders, self._edge, self._read_for_lists, visible)
        transactions = Transactions(self._database, self._edge, patience, min(_CONFLICT_PATIENCE, patience / 2))
        self._writes = SingleWrites(self._orders, self._edge, transactions, self.exists, patience, visible)
        self.kept = KeptAnswers(self._database, self._edge)
        self.atomic = AtomicWrites(self._orders, transactions, self.kept, visible)
        self.primary = primary or Primary()
        self._turns = FairTurns()  # of reads on behalf of no particular client
        self._lookups = Coalescer(self._find_orders, _MAX_BATCH)

    @property
    def dependency(self) -> Dependency:
        """The state of MongoDB for the metrics."""
        return self._edge.mongodb_health.dependency

    async def keep_checked(self) -> None:
        """Keep the state of MongoDB and of the collection true, for ever."""
        await self._edge.mongodb_health.keep_checked(self.check)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        uri: str,
        *,
        collection: str = ORDERS.collection,
        patience: float = PATIENCE,
        visible: VisibleFields = ALL_FIELDS,
        at_once: int = AT_ONCE,
    ) -> AsyncIterator[Self]:
        """Open a store for the database in ``uri``, and close its connections at the end.

        ``patience`` bounds every operation in seconds, retries included. Raises ValueError for a wrong address; an
        unreachable MongoDB is not an error here.
        """
        primary = Primary()
        mend_driver()
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
        store = cls(client.get_default_database(DEFAULT_DATABASE), collection, patience, primary, visible, at_once)
        try:
            yield store
        finally:
            store.gate.close()
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
        return self._edge.mongodb_health.state

    def collection_state(self) -> str:
        """Return "ok" when the collection is of a kind that can be served, else what is wrong and what to do."""
        return self._edge.kind.state

    async def page(self, query: ListQuery, pace: Pace | None = None, rights: Rights = EVERYTHING) -> OrdersPage:
        """Return one page of a list, read at the ``pace`` given."""
        return await self.lists.page(query, pace, rights)

    async def below(
        self, audience: Audience, id: str | None, limit: int, most_bytes: int, pace: Pace, at: int | None = None
    ) -> OrdersBelow:
        """Return the newest orders of an audience, or those below an ``id``; of the time ``at``, or of now.

        At most ``limit`` of them with ``most_bytes`` of BSON, or a single larger one. Raise SnapshotTooOld.
        """
        conditions = interest_conditions(audience.interest)
        if id is not None:
            conditions = {**conditions, "$expr": {"$lt": ["$_id", {"$literal": parse_id(id)}]}}
        conditions = permitted(conditions, audience.rights)
        async with self._edge(driver_timeout, writing=False):
            question = Question(conditions, at=None if at is None else timestamp(at))
            found = await read_snapshot(self._orders, question, limit, pace, self.visible, most_bytes=most_bytes)
        shown = audience.shown  # compared once more, as live events are
        orders = [each.order for each in found.documents if permits(shown, each.id, each.fields)]
        last = found.documents[-1].id if found.documents else id
        is_complete = not found.is_truncated and len(found.documents) < limit
        return OrdersBelow(orders, found.at, last, is_complete)

    async def get(self, id: str, rights: Rights = EVERYTHING) -> Found:
        """Return one order; raise OrderNotFound."""
        located = await self._lookups.call(_Lookup(id, rights))
        if located is None:
            raise OrderNotFound(id)
        if located.raw is None:
            return located.found
        # Here and not for all lookups that were made together: nobody waits for the large order of another one.
        return Found((await read(located.raw, self.visible)).order, located.found.at, is_large=True)

    async def create(self, new: NewOrder, rights: Rights = EVERYTHING) -> Written:
        """Store a new order; raise OutsideRights."""
        return await self._writes.create(new, rights)

    async def update(
        self, id: str, change: OrderChange, rights: Rights = EVERYTHING, slot: GateSlot | None = None
    ) -> Written:
        """Change some fields of an order; raise OrderNotFound, and OutsideRights where it would leave the rights."""
        return await self._writes.update(id, change, rights, slot)

    async def delete(self, id: str, rights: Rights = EVERYTHING, slot: GateSlot | None = None) -> Written:
        """Remove an order and return what it was; raise OrderNotFound."""
        return await self._writes.delete(id, rights, slot)

    async def exists(self, id: str, rights: Rights) -> bool:
        """Tell whether there is such an order."""
        return await self._lookups.call(_Lookup(id, rights)) is not None

    async def _find_orders(self, lookups: Sequence[_Lookup]) -> Mapping[_Lookup, _Located]:
        """Return the orders that exist, each for those who may see it."""
        conditions = [permitted(ids_condition([each.id]), each.rights) for each in lookups]
        condition = conditions[0] if len(conditions) == 1 else {"$or": conditions}
        snapshot = await self._read(condition, len(lookups), leaves_large=True)
        at, is_truncated = snapshot.at, snapshot.is_truncated
        by_id = {each.id: each for each in snapshot.documents}
        stored = zip(snapshot.documents, snapshot.stored(), strict=False) if not snapshot.is_small else ()
        raw = {each.id: one for each, one in stored if each.is_large}
        known = {
            each: _Located(Found(order.order, at), raw.get(each.id))
            for each in lookups
            if (order := by_id.get(each.id)) is not None and permits(each.rights, order.id, order.fields)
        }
        left = [each for each in lookups if each.id not in by_id] if is_truncated else []
        # By halves, not all again: the results need not be among the requested ids, because to MongoDB equal numbers of
        # different types are the same id.
        for some in (left[: len(lookups) // 2], left[len(lookups) // 2 :]):
            if some:
                known |= await self._find_orders(some)
        return known

    async def _read(
        self,
        conditions: Document,
        limit: int,
        pace: Pace | None = None,
        skip: int = 0,
        *,
        leaves_large: bool = False,
        **more: Any,
    ) -> Snapshot:
        """Read orders; ``more`` of the question as `Question` has it."""
        question = Question(conditions, skip=skip, **more)
        async with self._edge(driver_timeout, writing=False):
            pace = pace or Pace(self._turns, INTERNAL)
            return await read_snapshot(self._orders, question, limit, pace, self.visible, leaves_large=leaves_large)

    async def _read_for_lists(self, *asked: Any, **more: Any) -> Snapshot:
        return await self._read(*asked, **more)
