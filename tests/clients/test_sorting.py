"""What the libraries say about the order of two orders is what MongoDB says, or that they cannot tell."""

import asyncio
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bson import Decimal128, Int64, ObjectId, Timestamp
from pymongo import AsyncMongoClient

from live_orders.sorting import Sorting
from services.common.order_json import order_json
from services.common.visible_fields import ALL_FIELDS

NODE = Path(__file__).with_name("sorting.mjs")
DAY = datetime(2026, 1, 1, tzinfo=UTC)
OID = ObjectId("6b0344aaff000000000000a1")
PLAIN: list[Any] = [
    "",
    "A",
    "Ada",
    "Ada ",
    "a",
    "Å",
    "\uff01",
    "\U0001f600",
    "\U0001f600!",
    "~s",
    "3 apples",
    "-",
    "1-2",
]
NUMBERS: list[Any] = [-3, 0, 2.5, 7, 2**53]
DOUBTFUL: list[Any] = [
    *(
        True,
        False,
        {},
        {"a": 1},
        DAY,
        OID,
        Int64(2**60),
        Decimal128("2.5"),
        float("inf"),
        float("nan"),
        Timestamp(5, 1),
    ),
    *("2026-01-01T00:00:00.000Z", str(OID), "42", "-2.5", "1E+3", "NaN", "12345678-1234-1234-1234-123456789abc"),
]
DATES: list[Any] = [DAY, DAY.replace(year=2025), DAY.replace(microsecond=1000), DAY.replace(year=9999)]
IDS: list[Any] = ["", "a", "\U0001f600", "\uff01", str(OID), str(OID).upper(), "~", "events", OID, ObjectId()]
OTHER_IDS: list[Any] = [5, 2.5, DAY, {"a": 1}, True]


def documents(field: str, values: list[Any]) -> list[dict[str, Any]]:
    if field == "_id":
        return [{"_id": value} for value in values]
    several = [{"_id": f"order {number}", field: value} for number, value in enumerate(values * 2)]
    return [*several, {"_id": "without"}, {"_id": "a", field: None}]


def said_by_python(sort: str, orders: list[Any]) -> list[list[int | None]]:
    compare = Sorting(sort).compare
    return [[compare(one, other) for other in orders[at + 1 :]] for at, one in enumerate(orders)]


def said_by_js(sort: str, orders: list[Any]) -> list[list[int | None]]:
    asked = json.dumps({"sort": sort, "orders": orders})
    done = subprocess.run(["node", str(NODE)], input=asked, capture_output=True, text=True, check=True, timeout=60)
    said: list[list[int | None]] = json.loads(done.stdout)
    return said


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize(
    ("field", "sure", "unsure"),
    [
        ("customer_name", [*PLAIN, *NUMBERS], DOUBTFUL),
        ("updated_at", [*DATES, *NUMBERS], [*DOUBTFUL, "", "Ada", {"$date": 5}]),
        ("_id", IDS, OTHER_IDS),
    ],
)
async def test_two_orders_are_compared_as_mongodb_does(
    mongodb_uri: str, field: str, sure: list[Any], unsure: list[Any], direction: int
) -> None:
    # A text that looks like a date is taken for one in `updated_at`, as the guide says.
    unsure = [each for each in unsure if field != "updated_at" or not str(each).startswith("2026-")]
    sort = field if direction == 1 else f"-{field}"
    async with AsyncMongoClient[dict[str, Any]](mongodb_uri) as client:
        orders = client.get_default_database()["orders"]
        for values, is_sure in ((sure, True), ([*sure, *unsure], False)):
            await orders.delete_many({})
            await orders.insert_many(documents(field, values))
            found = await orders.find().sort([(field, direction), ("_id", direction)]).to_list()
            shown = [order_json(each, ALL_FIELDS) for each in found]
            for said_by in (said_by_python, said_by_js):
                said = await asyncio.to_thread(said_by, sort, shown)
                answers = {answer for row in said for answer in row}
                assert answers == ({-1} if is_sure else {-1, None}), said_by.__name__


@pytest.mark.parametrize("sort", ["customer_name", "-customer_name"])
async def test_orders_with_an_array_come_last_in_both_directions(sort: str) -> None:
    first, last = ("a", "b") if sort == "customer_name" else ("b", "a")
    orders = [
        {"_id": "z", "customer_name": 5},
        {"_id": first, "customer_name": [9]},
        {"_id": last, "customer_name": []},
    ]
    for said in (said_by_python(sort, orders), await asyncio.to_thread(said_by_js, sort, orders)):
        assert said == [[-1, -1], [-1], []]
