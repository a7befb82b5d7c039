"""The store's times are exact: judged by MongoDB's own change stream, while writers write as fast as they can."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Int64

from services.gateway.list_query import ListQuery, parse_query
from services.gateway.list_reading import OrdersPage
from services.gateway.orders import NewOrder, OrderChange
from services.gateway.single_writes import Written
from services.gateway.store import Found, OrderStore
from services.gateway.store_errors import OrderNotFound
from tests.integration.change_history import begin, changes_since, state_at
from tests.integration.cursors import open_cursors
from tests.integration.rest_api import JOHN, Orders, orders_at, store_of
from tests.waiting import HANGS

NEW = NewOrder.model_validate(JOHN)


@pytest.fixture
async def orders(mongodb_uri: str) -> AsyncIterator[Orders]:
    async with orders_at(mongodb_uri) as orders:
        yield orders


async def write_at_random(store: OrderStore, chance: random.Random, count: int) -> list[tuple[str, Written]]:
    """Do ``count`` writes on separate orders, and return the store's result of each."""
    mine: list[str] = []
    done: list[tuple[str, Written]] = []
    for number in range(count):
        kind = chance.choice(["insert", "update", "delete"]) if mine else "insert"
        if kind == "insert":
            done.append((kind, await store.create(NEW)))
            mine.append(str(done[-1][1].order["_id"]))
        elif kind == "update":
            name = f"number {number}"  # never the same twice: a change that changes nothing is no change
            done.append((kind, await store.update(chance.choice(mine), OrderChange(product_name=name))))
        else:
            done.append((kind, await store.delete(mine.pop(chance.randrange(len(mine))))))
    return done


async def test_the_time_of_a_write_is_that_of_its_own_change_among_concurrent_ones(orders: Orders) -> None:
    start = await begin(orders)
    store = store_of(orders)
    done = await asyncio.gather(*(write_at_random(store, random.Random(seed), 60) for seed in range(8)))
    claimed = sorted((written.at, kind, written.order["_id"]) for writer in done for kind, written in writer)
    happened = [(change.at, change.operation, change.id) for change in await changes_since(orders, start, 480)]
    assert claimed == happened


async def move_in_transactions(orders: Orders, chance: random.Random, until: asyncio.Event) -> int:
    """Change two orders in one transaction, again and again: a list shows both or neither."""
    count = 0
    async with orders.database.client.start_session() as session:
        ids = [(await orders.insert_one({"twins": -1}, session=session)).inserted_id for _ in range(2)]
        while not until.is_set():
            count += 1
            async with await session.start_transaction():
                for one in chance.sample(ids, 2):
                    await orders.update_one({"_id": one}, {"$set": {"twins": count}}, session=session)
    return 2 + 2 * count


async def test_a_list_shows_the_orders_exactly_as_they_were_at_its_time(orders: Orders) -> None:
    start = await begin(orders)
    store = store_of(orders)
    enough = asyncio.Event()

    async def load() -> list[OrdersPage]:
        pages: list[OrdersPage] = []
        while len(pages) < 200 or len({page.at for page in pages}) <= 100:  # with enough writes in between
            pages.append(await store.page(ListQuery(limit=500)))
        enough.set()
        return pages

    async def write(seed: int) -> int:
        count = 0
        while not enough.is_set():
            count += len(await write_at_random(store, random.Random(f"{seed} {count}"), 5))
        return count

    async with asyncio.TaskGroup() as group:
        loading = group.create_task(load())
        writing = [group.create_task(write(seed)) for seed in range(3)]
        writing.append(group.create_task(move_in_transactions(orders, random.Random(0), enough)))
    changes = await changes_since(orders, start, sum(task.result() for task in writing))
    pages = loading.result()
    for page in pages:
        assert page.orders == state_at(changes, page.at)[:500]


async def test_lists_survive_indexes_and_collections_being_made_meanwhile(orders: Orders) -> None:
    store = store_of(orders)

    async def rebuild() -> None:
        for number in range(30):
            await orders.create_index([("status", 1), (f"field{number}", 1)])
            await orders.insert_one({"number": number})
            await orders.drop()

    rebuilding = asyncio.create_task(rebuild())
    while not rebuilding.done():
        page = await store.page(ListQuery())
        assert len(page.orders) <= 1
    await rebuilding


async def test_an_order_is_read_at_a_time_too(orders: Orders) -> None:
    store = store_of(orders)
    written = await store.create(NEW)
    found = await store.get(str(written.order["_id"]))
    assert found.order == written.order
    assert written.at is not None
    assert found.at >= written.at


async def test_orders_that_are_asked_for_at_the_same_time_are_one_question_to_mongodb(orders: Orders) -> None:
    store = store_of(orders)
    ids = [str((await store.create(NEW)).order["_id"]) for _ in range(5)]
    await orders.database.command("profile", 2)
    read = await asyncio.gather(*(store.get(one) for one in ids), store.get("0" * 24), return_exceptions=True)
    await orders.database.command("profile", 0)
    assert [found.order["_id"] for found in read if isinstance(found, Found)] == ids
    assert isinstance(read[-1], OrderNotFound)
    queries = orders.database["system.profile"].find({"op": "query", "ns": f"{orders.database.name}.{orders.name}"})
    assert [query["command"]["limit"] for query in await queries.sort("ts").to_list()] == [6]


@pytest.fixture
async def large(orders: Orders) -> list[str]:
    """Store more than one reply of MongoDB can hold (16 MiB), and return the ids, newest first."""
    many = [{**JOHN, "product_name": letter * 7_000_000} for letter in "abcd"]
    return [str((await orders.insert_one(order)).inserted_id) for order in many][::-1]


async def test_orders_too_large_for_one_reply_are_all_found(orders: Orders, large: list[str]) -> None:
    store = store_of(orders)
    read = await asyncio.gather(*(store.get(one) for one in large))
    assert [found.order["_id"] for found in read] == large
    assert await open_cursors(orders.database, orders.name) == 0


async def test_an_id_of_the_same_number_keeps_no_large_order_from_being_found(orders: Orders) -> None:
    stored: list[Any] = [Int64(5), Int64(6), "a"]
    for one in stored:
        await orders.insert_one({"_id": one, **JOHN, "product_name": "x" * 9_000_000})
    store = store_of(orders)
    async with asyncio.timeout(HANGS):
        asked = (store.get("~i5"), store.get("~i6"), store.get("a"))
        five, six, found = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(five, OrderNotFound)
    assert isinstance(six, OrderNotFound)
    assert isinstance(found, Found)


async def test_a_list_too_large_for_one_reply_goes_on_with_the_next_page(orders: Orders, large: list[str]) -> None:
    store, listed = store_of(orders), []
    page = await store.page(ListQuery())
    listed += page.orders
    while page.next_after is not None:
        page = await store.page(ListQuery(after=page.next_after))
        listed += page.orders
    assert [order["_id"] for order in listed] == large
    assert await open_cursors(orders.database, orders.name) == 0


async def test_a_write_to_an_order_that_is_not_there_says_so(orders: Orders) -> None:
    store = store_of(orders)
    with pytest.raises(OrderNotFound):
        await store.update("0" * 24, OrderChange(status="shipped"))
    with pytest.raises(OrderNotFound):
        await store.delete("0" * 24)
    assert await orders.count_documents({}) == 0


@pytest.mark.parametrize("conditions", [{}, {"status": "pending"}, {"customer_name": "John Doe"}])
async def test_a_late_page_costs_no_more_than_the_first(orders: Orders, conditions: dict[str, str]) -> None:
    await orders.create_index([("status", 1), ("_id", -1)])
    await orders.create_index([("customer_name", 1), ("_id", -1)])
    await orders.insert_many(dict(JOHN) for _ in range(500))
    middle = (await store_of(orders).page(ListQuery(limit=250))).next_after
    assert middle is not None
    examined: list[int] = []
    for after in ([], [("after", middle)]):
        query = parse_query([*conditions.items(), ("limit", "10"), *after])
        examined.append(await keys_examined(orders, query))
    assert examined[1] <= examined[0] + 2


async def keys_examined(orders: Orders, query: ListQuery) -> int:
    """Return the cost of the store's query from MongoDB's profiler."""
    database = orders.database
    await database.command("profile", 2)
    await store_of(orders).page(query)
    await database.command("profile", 0)
    profiled: dict[str, Any] | None = await database["system.profile"].find_one(
        {"op": "query", "ns": f"{database.name}.{orders.name}"}, sort=[("ts", -1)]
    )
    assert profiled is not None
    keys: int = profiled["keysExamined"]
    return keys


async def test_a_read_does_not_wait_for_a_large_order_that_another_reads_at_the_same_moment(orders: Orders) -> None:
    store = store_of(orders)
    days = [datetime(2026, 1, 1, tzinfo=UTC)] * 400_000
    await orders.insert_many([{"_id": "large", "days": days}, {"_id": "small", "days": days[:1]}])
    large, small = (asyncio.create_task(store.get(name)) for name in ("large", "small"))  # one question for both
    await asyncio.wait({large, small}, return_when=asyncio.FIRST_COMPLETED)
    assert small.done()
    assert not large.done()
    found = await large
    assert (len(found.order["days"]), found.is_large) == (400_000, True)  # type: ignore[arg-type]
    assert (await small).at == found.at
