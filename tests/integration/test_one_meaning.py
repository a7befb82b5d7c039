"""A filter means the same to a list, which MongoDB makes, and to the live stream, which is judged in Python."""

import random
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest
from bson import Binary, Code, Decimal128, Int64, MaxKey, ObjectId, Regex, Timestamp
from pymongo import AsyncMongoClient
from pymongo.errors import BulkWriteError

from services.commands.database_spec import INDEXES
from services.common.cursor import Position
from services.common.documents import CODEC
from services.common.ids import InvalidId, canonical, id_text
from services.common.normalize import Change, normalize
from services.common.visible_fields import ALL_FIELDS
from services.gateway.conditions import interest_conditions
from services.gateway.event import Event
from services.gateway.filters import Filter, Verdict, parse_filter, verdict
from services.gateway.list_query import parse_query
from services.gateway.store import OrderStore
from tests.id_kinds import IDS

NAMES = [
    "Bob",
    "bob",
    "BOB",
    "Bób",
    "Bo",
    "Bob ",
    "5",
    "1.5",
    "NaN",
    "true",
    "null",
    "ünï",
    "\x00",
    "Bob\x00",
    "x" * 200,
]
STATUSES = ["pending", "shipped", "delivered"]
MOMENT = datetime(2026, 1, 1)  # noqa: DTZ001 - as BSON knows it
LOOKALIKES: list[Any] = [
    *[
        5,
        1.5,
        True,
        None,
        float("nan"),
        Int64(2**60),
        str(2**60),
        Decimal128("1.5"),
        MOMENT,
        "2026-01-01T00:00:00.000Z",
    ],
    *[ObjectId("0" * 24), "0" * 24, Code("Bob"), Regex("Bob"), Binary(b"Bob"), "Qm9i", Timestamp(1, 1), MaxKey()],
    *[["Bob"], ["Bob", "Al"], [["Bob"]], [], {"Bob": 1}, {"customer_name": "Bob"}, "x" * 201, "Pending", ["pending"]],
]
DOCUMENTS, QUERIES = 400, 40


def order(chance: random.Random, id: Any) -> dict[str, Any]:
    """Return an order as any program may have written it."""
    fields: dict[str, Any] = {"_id": id}
    for name, usual in (("status", STATUSES), ("customer_name", NAMES)):
        if chance.random() < 0.95:
            fields[name] = chance.choice(usual if chance.random() < 0.5 else LOOKALIKES)
    return fields


def query(chance: random.Random, documents: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return the parameters of a list."""
    asked: list[tuple[str, str]] = []
    if chance.random() < 0.7:
        strings = [*NAMES, *(one for one in LOOKALIKES if isinstance(one, str) and type(one) is str and len(one) < 201)]
        asked += [("customer_name", chance.choice(strings)) for _ in range(chance.randint(1, 3))]
    if chance.random() < 0.5:
        asked += [("status", chance.choice(STATUSES)) for _ in range(chance.randint(1, 2))]
    if chance.random() < 0.3:
        some = [id_text(one["_id"]) for one in chance.sample(documents, 30)]
        asked += [("id", one.upper() if chance.random() < 0.3 else one) for one in some if is_id(one.upper())]
    return asked


def is_id(text: str) -> bool:
    """Say whether a list takes the text as an id."""
    try:
        canonical(text)
    except InvalidId:
        return False
    return len(text) < 200


def shown_live(document: dict[str, Any], asked: list[tuple[str, str]]) -> bool:
    """Say whether a client with this filter is shown the change that stores the document."""
    wanted = {
        field: [value for name, value in asked if name == parameter]
        for parameter, field in (("id", "ids"), ("status", "status"), ("customer_name", "customer_name"))
        if any(name == parameter for name, _ in asked)
    }
    change = normalize(
        {
            "_id": {"_data": "82"},
            "operationType": "insert",
            "clusterTime": Timestamp(1, 1),
            "documentKey": {"_id": document["_id"]},
            "fullDocument": document,
        },
        "e1",
        Position(0, 0),
        ALL_FIELDS,
    )
    assert isinstance(change, Change)
    return verdict(frozenset({parse_filter(wanted)}), Event(change.envelope, change.images)) is Verdict.SHOW


@pytest.mark.parametrize(
    "collation", [None, {"locale": "en", "strength": 1}, {"locale": "de", "strength": 2, "numericOrdering": True}]
)
async def test_a_list_shows_just_the_orders_that_the_stream_would(
    mongodb_uri: str, collation: dict[str, Any] | None
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)  # noqa: T201 - shown where the test fails
    chance = random.Random(seed)
    async with AsyncMongoClient[dict[str, Any]](mongodb_uri) as client:
        database = client.get_default_database()
        options: dict[str, Any] = {"collation": collation} if collation else {}
        orders = await database.create_collection("orders", **options)
        await orders.create_indexes(INDEXES)
        documents = [order(chance, one) for one in [*IDS, *(ObjectId() for _ in range(DOCUMENTS - len(IDS)))]]
        with suppress(BulkWriteError):  # to a collation, some of the ids are the same
            await orders.insert_many(documents, ordered=False)
        stored = {id_text(one) for one in await orders.with_options(CODEC).distinct("_id")}
        documents = [one for one in documents if id_text(one["_id"]) in stored]
        assert len(documents) > DOCUMENTS - len(IDS)
        store = OrderStore(database)
        found = 0
        for _ in range(QUERIES):
            asked = query(chance, documents)
            page = await store.page(parse_query([*asked, ("limit", "500")]))
            listed = {one["_id"] for one in page.orders}
            live = {id_text(one["_id"]) for one in documents if shown_live(one, asked)}
            assert listed == live, asked
            found += len(listed)
        assert found > QUERIES, "the filters found something"


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (Filter(customer_name=("Bob",)), "customer_newest_first"),
        (Filter(customer_name=("Bob", "Al")), "customer_newest_first"),
        (Filter(status=("pending",)), "status_newest_first"),
        (Filter(status=("pending", "shipped")), "status_newest_first"),
        (Filter(ids=("0" * 24,)), "_id_"),
        (Filter(ids=("0" * 24, "a", "~i5", id_text({"a": 1}))), "_id_"),
    ],
)
async def test_a_snapshot_takes_its_index(mongodb_uri: str, wanted: Filter, index: str) -> None:
    async with AsyncMongoClient[dict[str, Any]](mongodb_uri) as client:
        orders = client.get_default_database()["orders"]
        await orders.create_indexes(INDEXES)
        chance = random.Random(1)
        await orders.insert_many([order(chance, ObjectId()) for _ in range(DOCUMENTS)])
        conditions = interest_conditions(frozenset({wanted}))
        plan = await orders.find(conditions).sort("_id", -1).limit(101).explain()
    winning = str(plan["queryPlanner"]["winningPlan"])
    assert f"'indexName': '{index}'" in winning
    assert "COLLSCAN" not in winning
