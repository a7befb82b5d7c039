"""Rights mean the same in the query that reads or writes as in Python, whatever the collection's collation says."""

import random
from contextlib import suppress
from typing import Any

import pytest
from bson import ObjectId
from pymongo import AsyncMongoClient
from pymongo.errors import BulkWriteError

from services.commands.database_spec import INDEXES
from services.common.documents import CODEC
from services.common.filter_fields import deciding_fields
from services.common.ids import id_text
from services.gateway.audience import Rights, permits
from services.gateway.conditions import permitted
from services.gateway.filters import Filter
from services.gateway.list_query import ListQuery
from services.gateway.orders import OrderChange
from services.gateway.store import OrderStore
from services.gateway.store_errors import OrderNotFound, OutsideRights
from tests.integration.test_one_meaning import LOOKALIKES, NAMES, STATUSES, order

COLLATIONS = [None, {"locale": "en", "strength": 1}, {"locale": "de", "strength": 2, "numericOrdering": True}]
VALUES = [name for name in [*NAMES, "B.b", "Bo*", "(Bob|Al)", "^Bob$", "Bob\n"] if "\0" not in name]
VALUES += [one for one in LOOKALIKES if type(one) is str and len(one) < 201]


def rights_of(chance: random.Random, ids: list[str]) -> Rights:
    def one() -> Filter:
        return Filter(
            ids=tuple(chance.sample(ids, 20)) if chance.random() < 0.2 else None,
            status=tuple(chance.sample(STATUSES, 2)) if chance.random() < 0.4 else None,
            customer_name=tuple(chance.sample(VALUES, 2)) if chance.random() < 0.8 else None,
        )

    return frozenset(each for each in (one() for _ in range(chance.randint(1, 2))) if each != Filter())


@pytest.mark.parametrize("collation", COLLATIONS)
async def test_reads_and_writes_obey_rights_exactly(mongodb_uri: str, collation: dict[str, Any] | None) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)  # noqa: T201 - shown where the test fails
    chance = random.Random(seed)
    async with AsyncMongoClient[dict[str, Any]](mongodb_uri) as client:
        database = client.get_default_database()
        options: dict[str, Any] = {"collation": collation} if collation else {}
        orders = await database.create_collection("orders", **options)
        await orders.create_indexes(INDEXES)
        with suppress(BulkWriteError):
            await orders.insert_many([order(chance, ObjectId()) for _ in range(300)], ordered=False)
        store = OrderStore(database)
        decoded = orders.with_options(CODEC)
        found = refused = 0
        for number in range(60):
            if number >= 25 and found > 50 and refused > 0:  # by chance, all may have been allowed until then
                break
            stored = {id_text(one["_id"]): one async for one in decoded.find()}
            rights = rights_of(chance, [*stored])
            inside = {name for name, one in stored.items() if permits(rights, name, deciding_fields(one) or {})}
            condition = permitted({}, rights)
            # Of the condition alone, without the comparison that follows: writes are decided by it alone.
            assert {id_text(one["_id"]) async for one in decoded.find(condition)} == inside
            page = await store.page(ListQuery(limit=500), None, rights)
            assert {one["_id"] for one in page.orders} == inside
            found += len(inside)
            for name in chance.sample([*stored], 8):
                change = OrderChange(customer_name=chance.choice(["Bob", "bob", "Bób", "5"]))
                fields = {**(deciding_fields(stored[name]) or {}), **change.fields()}
                expected: type[Exception] | None = None if permits(rights, name, fields) else OutsideRights
                expected = expected if name in inside else OrderNotFound
                if expected is None:
                    await store.update(name, change, rights)
                else:
                    refused += expected is OutsideRights
                    with pytest.raises(expected):
                        await store.update(name, change, rights)
            for name in chance.sample([*stored], 4):
                current = await decoded.find_one({"_id": stored[name]["_id"]})
                if permits(rights, name, deciding_fields(current) or {}):
                    assert (await store.get(name, rights)).order["_id"] == name
                    await store.delete(name, rights)
                else:
                    with pytest.raises(OrderNotFound):
                        await store.get(name, rights)
                    with pytest.raises(OrderNotFound):
                        await store.delete(name, rights)
        assert found > 50
        assert refused > 0


@pytest.mark.parametrize(
    ("rights", "index"),
    [
        (Filter(customer_name=("Bob",)), "customer_newest_first"),
        (Filter(customer_name=("Bob", "Al")), "customer_newest_first"),
        (Filter(status=("pending",)), "status_newest_first"),
        (Filter(ids=("0" * 24, "a")), "_id_"),
    ],
)
async def test_a_list_of_a_restricted_subject_takes_its_index(mongodb_uri: str, rights: Filter, index: str) -> None:
    async with AsyncMongoClient[dict[str, Any]](mongodb_uri) as client:
        orders = client.get_default_database()["orders"]
        await orders.create_indexes(INDEXES)
        chance = random.Random(1)
        await orders.insert_many([order(chance, ObjectId()) for _ in range(400)])
        condition = permitted({}, frozenset({rights}))
        plan = await orders.find(condition).sort("_id", -1).limit(101).explain()
    winning = str(plan["queryPlanner"]["winningPlan"])
    assert f"'indexName': '{index}'" in winning
    assert "COLLSCAN" not in winning
