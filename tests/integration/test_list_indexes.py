"""Every list that is offered reads little more than it returns, from an index, in order; the rest is refused."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from bson import ObjectId
from pymongo import AsyncMongoClient

from services.commands.setup_db import setup
from services.gateway.audience import Rights
from services.gateway.filters import EVERYTHING, Filter
from services.gateway.input_rules import InvalidInput
from services.gateway.list_query import SORT_FIELDS, parse_query
from services.gateway.order_lists import COUNTED
from services.gateway.store import OrderStore
from tests.servers import Servers, with_database

pytestmark = pytest.mark.asyncio(loop_scope="module")

ORDERS = 100_000
LIMIT = 20
STATUSES = ("pending", "shipped", "delivered")
START = datetime(2026, 1, 1, tzinfo=UTC)
FILTERS: dict[str, list[tuple[str, str]]] = {
    "none": [],
    "status": [("status", "shipped")],
    "rare status": [("status", "delivered")],
    "statuses": [("status", "pending"), ("status", "delivered")],
    "customer": [("customer_name", "customer 7")],
    "customers": [("customer_name", f"customer {number}") for number in range(30)],
    "no customer": [("customer_name", "nobody")],
    "many": [("customer_name", f"customer {number}") for number in range(60)]
    + [("status", status) for status in STATUSES],
    "both": [("customer_name", "customer 0"), ("status", "pending")],
    "neither": [("customer_name", "customer 1"), ("status", "delivered")],
    "ids": [("id", "0" * 24), ("id", "a")],
}
RIGHTS: dict[str, Rights] = {
    "all": EVERYTHING,
    "a customer": frozenset({Filter(customer_name=("customer 0",))}),
    "a status": frozenset({Filter(status=("pending",))}),
    "either": frozenset({Filter(customer_name=("customer 3", "customer 4")), Filter(status=("delivered",))}),
}
SINCE = [("updated_since", (START + timedelta(seconds=ORDERS // 2)).isoformat())]
OTHERS: dict[str, list[tuple[str, str]]] = {
    "since": SINCE,
    "since, of a status": [*SINCE, ("status", "shipped")],
    "since, of a customer": [*SINCE, ("customer_name", "customer 3"), ("sort", "updated_at")],
    "text": [("q", "product 1")],
    "text of a customer": [("q", "product 1"), ("customer_name", "customer 2")],
    "text of an id": [("q", "6")],
    "text of nothing": [("q", "nothing")],
}
REFUSED = {
    *((filters, "product_name") for filters in ("status", "rare status", "statuses", "both", "neither", "many")),
    *((filters, field) for filters in ("both", "neither", "many") for field in ("updated_at", "customer_name")),
    *((filters, "status") for filters in ("both", "neither", "many", "customer", "customers", "no customer")),
    *(("ids", field) for field in SORT_FIELDS if field != "_id"),
}


class Collection(NamedTuple):
    """A large collection, and the store of it."""

    database: Any
    store: OrderStore

    async def costs(self) -> list[dict[str, Any]]:
        """Return what MongoDB has noted of the questions since the last call, and forget it."""
        await self.database.command("profile", 0)
        found = await self.database["system.profile"].find({"ns": f"{self.database.name}.orders"}).to_list()
        await self.database["system.profile"].drop()
        await self.database.command("profile", 2)
        return [one for one in found if one["op"] in ("query", "command") and "profile" not in one["command"]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def large(session_servers: Servers) -> AsyncIterator[Collection]:
    uri = with_database(session_servers.mongodb_uri, "test_list_indexes")
    async with AsyncMongoClient[dict[str, Any]](uri) as client:
        database = client.get_default_database()
        await client.drop_database(database.name)
        chance = random.Random(7)
        for first in range(0, ORDERS, 10_000):
            await database["orders"].insert_many(
                [
                    {
                        "_id": ObjectId(),
                        # One customer has a quarter of all; a status is rare, and the second customer has none of it.
                        "customer_name": f"customer {chance.choice((0, 1, *range(2, 8), chance.randrange(3000)))}",
                        "product_name": f"product {chance.randrange(2000)}",
                        "status": "delivered" if number % 5000 == 4999 else chance.choice(STATUSES[:2]),
                        "updated_at": START + timedelta(seconds=chance.randrange(ORDERS)),
                    }
                    for number in range(first, first + 10_000)
                ]
            )
        await database["orders"].delete_many({"customer_name": "customer 1", "status": "delivered"})
        await asyncio.to_thread(lambda: list(setup(uri)))
        yield Collection(database, OrderStore(database))
        await client.drop_database(database.name)


async def check(large: Collection, pairs: list[tuple[str, str]], rights: Rights) -> None:
    """Read three pages forward and one back, and judge what each has cost."""
    asked = [*pairs, ("limit", str(LIMIT))]
    page = await large.store.page(parse_query(asked), None, rights)
    streams = (
        2
        * max(1, sum(name == "customer_name" for name, _ in pairs))
        * max(1, sum(name == "status" for name, _ in pairs))
    )
    for turn in ("first", "second", "third", "back"):
        noted = await large.costs()
        if turn != "first":
            mark = ("before", page.previous_before) if turn == "back" else ("after", page.next_after)
            if mark[1] is None:
                return
            page = await large.store.page(parse_query([*asked, (mark[0], mark[1])]), None, rights)
            noted = await large.costs()
        keys = sum(one.get("keysExamined", 0) for one in noted)
        returned = sum(one.get("nreturned", 0) for one in noted)
        summary = [(one.get("planSummary"), one.get("keysExamined"), one.get("nreturned")) for one in noted]
        assert not any("COLLSCAN" in one.get("planSummary", "") for one in noted), (pairs, turn, summary)
        assert not any(one.get("hasSortStage") for one in noted), (pairs, turn, summary)
        assert keys <= 2 * returned + streams + 10, (pairs, turn, summary)


@pytest.mark.parametrize("filters", FILTERS)
async def test_a_list_reads_little_more_than_it_returns_or_is_refused(large: Collection, filters: str) -> None:
    await large.costs()
    for field, sign in product(SORT_FIELDS, ("", "-")):
        pairs = [*FILTERS[filters], ("sort", f"{sign}{field}")]
        if (filters, field) in REFUSED:
            with pytest.raises(InvalidInput, match=f"sort: cannot be {field} together with"):
                await large.store.page(parse_query(pairs))
        else:
            await check(large, pairs, EVERYTHING)


@pytest.mark.parametrize("kind", OTHERS)
async def test_so_does_a_search(large: Collection, kind: str) -> None:
    await large.costs()
    await check(large, OTHERS[kind], EVERYTHING)


@pytest.mark.parametrize(
    "kind", ["none", "status", "rare status", "statuses", "customer", "since", "text", "text of an id"]
)
async def test_a_count_reads_keys_and_no_orders(large: Collection, kind: str) -> None:
    await large.costs()
    pairs = [*(FILTERS | OTHERS)[kind], ("count", "true"), ("limit", "1")]
    await large.store.page(parse_query(pairs))
    [counted] = [
        one
        for one in await large.costs()
        if {"$count": "n"} in one["command"].get("pipeline", []) and {"$limit": 1} not in one["command"]["pipeline"]
    ]
    assert counted["docsExamined"] == 0, counted["planSummary"]
    assert counted["keysExamined"] <= COUNTED + 10


@pytest.mark.parametrize("limited", ["a customer", "a status", "either"])
async def test_so_does_a_list_of_a_restricted_subject(large: Collection, limited: str) -> None:
    await large.costs()
    for field in SORT_FIELDS:
        pairs = [("sort", f"-{field}")]
        try:
            await large.store.page(parse_query(pairs), None, RIGHTS[limited])
        except InvalidInput as error:
            assert "to which you are limited" in str(error)  # noqa: PT017 - it may be raised or not
            continue
        await check(large, pairs, RIGHTS[limited])
