"""Every order is on exactly one page of a list, forward and backward, whatever other programs have stored."""

import asyncio
import random
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

import bson
import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient
from pymongo.errors import BulkWriteError

from services.commands.setup_db import setup
from services.common.documents import CODEC
from services.common.filter_fields import deciding_fields
from services.common.ids import id_text
from services.gateway.audience import Rights, permits
from services.gateway.filters import EVERYTHING, Filter
from services.gateway.input_rules import InvalidInput
from services.gateway.list_query import SORT_FIELDS, parse_query
from services.gateway.store import OrderStore
from tests.id_kinds import IDS

Pairs = list[tuple[str, str]]

MOMENT = datetime(2026, 1, 1)  # noqa: DTZ001 - as BSON knows it
STATUSES = ["pending", "shipped", "delivered"]
NAMES = ["Ada", "ada", "Ad", "Áda", "Adab", "B", "", "Zoë", "\U0001f600", "x" * 200, "y" * 3000, "z" * 3000, "{}"]
STRANGE: list[Any] = [
    *[5, 5.0, Int64(5), 1.5, Decimal128("1.5"), Decimal128("NaN"), float("nan"), float("inf"), -float("inf"), -0.0],
    *[True, False, None, MOMENT, ObjectId("0" * 24), Code("x"), Code("x", {"a": 1}), Regex("Ada"), Regex("B", "i")],
    *[Binary(b"Ada"), Binary(b"x", 4), Timestamp(1, 1), MinKey(), MaxKey(), {"a": 1}, {"a": 2}, {}, {"$x": 1}],
    *[DBRef("c", 5), [], ["Ada"], ["Ada", 5], [["Ada"]], [None], [MOMENT], [5, "Zoë"]],
]
TIMES = [datetime(2026, 1, day) for day in (1, 2, 2, 3)]  # noqa: DTZ001
USUAL: dict[str, list[Any]] = {
    "status": STATUSES,
    "customer_name": NAMES,
    "product_name": NAMES,
    "updated_at": TIMES,
}
RIGHTS: list[Rights] = [
    EVERYTHING,
    EVERYTHING,
    frozenset({Filter(customer_name=("Ada", "Zoë"))}),
    frozenset({Filter(status=("pending", "shipped"))}),
    frozenset({Filter(customer_name=("Ada",)), Filter(customer_name=("B",), status=("pending",))}),
    frozenset({Filter(customer_name=("Ada",)), Filter(customer_name=("ada", "B"))}),
]
UNDEFINED = b"\x06", b""
SYMBOL = b"\x0e", b"\x04\0\0\0Ada\0"
POINTER = b"\x0c", b"\x02\0\0\0c\0" + bytes(12)
NOT_UTF8 = b"\x02", b"\x03\0\0\0\xff\xfe\0"


def order(chance: random.Random, id: Any) -> dict[str, Any]:
    """Return an order as any program may have written it, with an array in one field at most.

    MongoDB would refuse most with arrays in two of them, because of the indexes.
    """
    fields: dict[str, Any] = {"_id": id}
    has_array = False
    for name, usual in USUAL.items():
        if chance.random() < 0.9:
            value = chance.choice(usual if chance.random() < 0.6 else STRANGE)
            if not (has_array and isinstance(value, list)):
                has_array = has_array or isinstance(value, list)
                fields[name] = value
    return fields


def of_old_types(id: str, name: str, kind: bytes, data: bytes) -> RawBSONDocument:
    """Return an order with a value that PyMongo can not write."""
    body = bson.encode({"_id": id})[4:-1] + kind + name.encode() + b"\0" + data + b"\0"
    return RawBSONDocument((len(body) + 4).to_bytes(4, "little") + body)


async def filled(uri: str, chance: random.Random, collation: Mapping[str, Any] | None) -> AsyncMongoClient[Any]:
    client: AsyncMongoClient[Any] = AsyncMongoClient(uri)
    database = client.get_default_database()
    if collation is not None:
        await database.create_collection("orders", collation=collation)
    await asyncio.to_thread(lambda: list(setup(uri)))
    documents: list[Any] = [order(chance, one) for one in [*IDS, *(ObjectId() for _ in range(200 - len(IDS)))]]
    for name in USUAL:
        documents += [of_old_types(f"{name}{n}", name, *UNDEFINED) for n in range(3)]
        documents += [of_old_types(f"{name} old{n}", name, *one) for n, one in enumerate((SYMBOL, POINTER, NOT_UTF8))]
    chance.shuffle(documents)
    with suppress(BulkWriteError):  # to a collation, some of the ids are the same
        await database["orders"].insert_many(documents, ordered=False)
    return client


async def walk(store: OrderStore, asked: Pairs, limit: int, rights: Rights) -> tuple[list[str], list[str]]:
    """Return the ids of all pages forward, and of those that lead back from the last."""
    forward: list[str] = []
    pages = [await store.page(parse_query([*asked, ("limit", str(limit))]), None, rights)]
    while (mark := pages[-1].next_after) is not None:
        pages.append(await store.page(parse_query([*asked, ("limit", str(limit)), ("after", mark)]), None, rights))
        assert len(pages) < 1000
    for page in pages:
        forward += [str(one["_id"]) for one in page.orders]
    backward = [str(one["_id"]) for one in pages[-1].orders]
    page = pages[-1]
    while page.previous_before is not None:
        query = parse_query([*asked, ("limit", str(limit)), ("before", page.previous_before)])
        page = await store.page(query, None, rights)
        backward = [*(str(one["_id"]) for one in page.orders), *backward]
        assert len(backward) < 5000
    return forward, backward


def filters(chance: random.Random) -> Pairs:
    asked: Pairs = []
    if chance.random() < 0.5:
        asked += [("status", one) for one in chance.sample(STATUSES, chance.randint(1, 3))]
    if chance.random() < 0.5:
        asked += [("customer_name", one) for one in chance.sample([n for n in NAMES if 0 < len(n) < 201], 3)]
    if chance.random() < 0.3:
        asked.append(("updated_since", "2026-01-02T00:00:00Z"))
    return asked


@pytest.mark.parametrize("collation", [None, {"locale": "en", "strength": 1}])
async def test_every_order_is_on_one_page_forward_and_backward(
    mongodb_uri: str, collation: dict[str, Any] | None
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)  # noqa: T201 - shown where the test fails
    chance = random.Random(seed)
    async with await filled(mongodb_uri, chance, collation) as client:
        orders = client.get_default_database()["orders"]
        store = OrderStore(client.get_default_database())
        decoded = orders.with_options(CODEC)
        stored = {id_text(one["_id"]): one async for one in decoded.find()}
        walked = refused = 0
        for field in SORT_FIELDS:
            for asked in ([], filters(chance), filters(chance)):
                for sign in ("", "-"):
                    query: Pairs = [*asked, ("sort", f"{sign}{field}")]
                    rights = chance.choice(RIGHTS)
                    try:
                        forward, backward = await walk(store, query, chance.choice([9, 40]), rights)
                    except InvalidInput:
                        refused += 1
                        continue
                    unsorted = expected(stored, query, rights)
                    assert sorted(forward) == sorted(unsorted), query
                    assert len(set(forward)) == len(forward), query
                    if len(unsorted) == len(stored):
                        assert forward == await in_order(decoded, field, sign), query
                    # In these, some keys are too long for a mark, and pages of nothing else do not lead back.
                    is_whole = field not in {"product_name", "customer_name"}
                    assert backward == (forward if is_whole else forward[-len(backward) :]), query
                    walked += 1
        assert walked > 10


async def in_order(orders: Any, field: str, sign: str) -> list[str]:
    """Return the ids as MongoDB sorts them, those with arrays at the end."""
    direction = -1 if sign else 1
    found = []
    for condition in ({field: {"$not": {"$type": "array"}}}, {field: {"$type": "array"}}):
        by = (
            [("_id", direction)] if condition[field] == {"$type": "array"} else [(field, direction), ("_id", direction)]
        )
        found += [id_text(one["_id"]) async for one in orders.find(condition).sort(by)]
    return found


def expected(stored: dict[str, Any], asked: Pairs, rights: Rights) -> list[str]:
    """Return the ids of the orders that match, judged in Python."""
    wanted = {name: {value for key, value in asked if key == name} for name in ("status", "customer_name")}
    since = any(name == "updated_since" for name, _ in asked)
    found = []
    for name, one in stored.items():
        fits = all(
            not values or (type(one.get(field)) is str and one[field] in values) for field, values in wanted.items()
        )
        moment = one.get("updated_at")
        fits = fits and permits(rights, name, deciding_fields(one) or {})
        if fits and (not since or (isinstance(moment, datetime) and moment >= TIMES[1])):
            found.append(name)
    return found


@pytest.mark.parametrize("sort", ["updated_at", "-updated_at"])
@pytest.mark.parametrize("way", ["statuses", "rights", "rights of several"])
async def test_no_page_takes_a_missing_field_for_less_than_null(mongodb_uri: str, sort: str, way: str) -> None:
    """MongoDB does, where it merges two scans of an index: an order of the one would be missing between two pages."""
    async with AsyncMongoClient[Any](mongodb_uri) as client:
        await asyncio.to_thread(lambda: list(setup(mongodb_uri)))
        orders = client.get_default_database()["orders"]
        await orders.insert_many(
            [
                {"_id": f"{number}", "status": STATUSES[number % 2], "customer_name": NAMES[number % 2]}
                | ({} if number % 4 == 3 else {"updated_at": TIMES[0] if number == 9 else None})
                for number in range(10)
            ]
        )
        asked: Pairs = [("status", "pending"), ("status", "shipped")] if way == "statuses" else []
        either = {Filter(customer_name=(name,)) for name in NAMES[:2]}
        rights = {"statuses": EVERYTHING, "rights": frozenset({Filter(customer_name=tuple(NAMES[:2]))})}.get(
            way, either
        )
        store = OrderStore(client.get_default_database())
        for limit in (1, 2, 3, 5, 20):
            forward, backward = await walk(store, [*asked, ("sort", sort)], limit, frozenset(rights))
            assert forward == backward == [*"0123456789"][:: -1 if sort.startswith("-") else 1], limit
