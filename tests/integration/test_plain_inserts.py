"""New orders of one moment share a transaction; each has its own place in the stream, and none spoils the others."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from services.gateway.insert_groups import StoredAt
from services.gateway.order_document import new_document
from services.gateway.orders import NewOrder
from services.gateway.plain_inserts import LEAST, PlainInserts
from services.gateway.single_writes import Written
from services.gateway.store import OrderStore
from services.gateway.store_edge import StoreEdge
from services.gateway.store_errors import OutcomeUnknown, StoreError, StoreUnavailable, ValueTaken
from services.gateway.transactions import Transactions
from tests.conftest import OwnMongod
from tests.integration.replicas import Replicas
from tests.integration.rest_api import JOHN, Orders

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def created(store: OrderStore, products: Sequence[object]) -> list[Written | BaseException]:
    """Create orders of these products, all in one pass of the loop."""
    new = [NewOrder.model_validate({**JOHN, "product_name": str(product)}) for product in products]
    return await asyncio.gather(*map(store.create, new), return_exceptions=True)


def stored(outcomes: Sequence[Written | BaseException]) -> list[Written]:
    return [outcome for outcome in outcomes if isinstance(outcome, Written)]


async def test_orders_of_one_moment_share_a_time_and_each_has_its_own_place(replicas: Replicas) -> None:
    store = OrderStore(replicas.orders.database, replicas.orders.name)
    start = await replicas.now()
    written = stored(await created(store, range(30)))
    assert [one.order["product_name"] for one in written] == [str(number) for number in range(30)]
    assert len({one.at for one in written}) == 1
    places = [(str(one.order["_id"]), one.at, one.ordinal) for one in written]
    assert places == [(order, at.ts, at.n) for _, order, at in await replicas.changes(start, 30)]


async def test_each_answer_of_the_api_has_the_place_of_its_own_order(replicas: Replicas) -> None:
    start = await replicas.now()
    replies = await asyncio.gather(*(replicas.ask("POST", "/api/orders", JOHN, of=number) for number in range(60)))
    told = sorted((reply.position, reply.json["_id"]) for reply in replies)
    assert told == [(position, order) for _, order, position in await replicas.changes(start, 60)]
    assert any(position.n for position, _ in told), "some share a time"


async def test_a_few_are_written_one_by_one(replicas: Replicas) -> None:
    store = OrderStore(replicas.orders.database, replicas.orders.name)
    written = stored(await created(store, range(LEAST - 1)))
    assert len({one.at for one in written}) == LEAST - 1
    assert {one.ordinal for one in written} == {0}


async def test_one_that_mongodb_refuses_spoils_no_other(replicas: Replicas) -> None:
    store = OrderStore(replicas.orders.database, replicas.orders.name)
    await replicas.orders.delete_many({})
    await replicas.orders.create_index("product_name", unique=True)
    try:
        outcomes = await created(store, [number % 9 for number in range(10)])
        assert len(stored(outcomes)) == await replicas.orders.count_documents({}) == 9
        assert [type(outcome) for outcome in outcomes if not isinstance(outcome, Written)] == [ValueTaken]
    finally:
        await replicas.orders.drop_index("product_name_1")


class Held:
    """Inserts, of which the first has begun and does not end until it is let go."""

    def __init__(self, orders: Orders, patience: float) -> None:
        database, name = orders.database, orders.name
        transactions = Transactions(database, StoreEdge(database, name, 5.0), 5.0, 1.0)
        self._inserts = PlainInserts(orders, transactions, self._insert_one, patience)
        self._begun, self.let_go = asyncio.Event(), asyncio.Event()

    async def _insert_one(self, _: dict[str, Any]) -> int:
        self._begun.set()
        await self.let_go.wait()
        return 0

    async def begin(self) -> asyncio.Task[StoredAt]:
        first = self.insert()
        await self._begun.wait()
        return first

    def insert(self) -> asyncio.Task[StoredAt]:
        document = new_document(NewOrder.model_validate(JOHN))
        return asyncio.create_task(self._inserts.insert(document))


async def test_those_that_come_while_others_are_written_go_together_next(replicas: Replicas) -> None:
    held = Held(replicas.orders, patience=60)
    first = await held.begin()
    later = []
    for _ in range(5):
        later.append(held.insert())
        await asyncio.sleep(0)  # a pass of the loop for each
    held.let_go.set()
    places = await asyncio.gather(*later)
    assert {at for at, _ in places} == {places[0].at}
    assert [ordinal for _, ordinal in places] == [*range(5)]
    assert await first == (0, 0)


async def test_nobody_waits_for_ever_for_the_write_of_another(replicas: Replicas) -> None:
    held = Held(replicas.orders, patience=0.01)
    first = await held.begin()
    assert len(await asyncio.gather(*(held.insert() for _ in range(LEAST)))) == LEAST
    held.let_go.set()
    await first


@pytest.mark.asyncio(loop_scope="function")  # that of the fixture
async def test_what_is_not_confirmed_is_not_written_again(own_mongod: OwnMongod) -> None:
    mongod = await own_mongod("--setParameter", "enableTestCommands=1")
    async with OrderStore.open(mongod.uri("orders"), patience=1.0) as store:
        orders, admin = store.database["orders"], store.database.client.admin
        cases: list[tuple[str, type[StoreError]]] = [
            ("insert", StoreUnavailable),
            ("commitTransaction", OutcomeUnknown),
        ]
        for command, error in cases:
            data: dict[str, Any] = {"failCommands": [command], "closeConnection": True}
            await admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data})
            outcomes = await created(store, range(LEAST))
            await admin.command({"configureFailPoint": "failCommand", "mode": "off"})
            assert [type(outcome) for outcome in outcomes] == [error] * LEAST
            assert await orders.count_documents({}) == 0
