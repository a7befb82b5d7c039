"""Where windows can begin, and where they cannot."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bson import Binary
from pymongo import AsyncMongoClient

from live_orders import LiveOrders, LiveOrdersError, Window
from tests.clients.subject import Subject, subject
from tests.clients.test_scenarios import Scene, scene
from tests.conftest import RunService
from tests.waiting import until

NODE = Path(__file__).with_name("places.mjs")
PLACE = {"sort": "-_id", "mark": "a", "order": {"_id": "a"}}
NO_PLACE = "window.after must be what "
WINDOWS: list[tuple[dict[str, Any], str]] = [
    ({"limit": 5, "after": PLACE}, ""),
    ({"limit": 5, "after": None}, ""),
    ({"limit": 500, "after": PLACE}, ""),
    ({"limit": 499, "skip": 2, "after": PLACE}, "window.skip + window.limit: 500 at most"),
    (
        {"limit": 5, "sort": "_id", "after": PLACE},
        "window.after: a place in a list that is sorted by -_id, not by _id",
    ),
    ({"limit": 5, "after": "a"}, NO_PLACE),
    ({"limit": 5, "after": []}, NO_PLACE),
    ({"limit": 5, "after": {**PLACE, "mark": 1}}, NO_PLACE),
    ({"limit": 5, "after": {**PLACE, "sort": None}}, NO_PLACE),
    ({"limit": 5, "after": {**PLACE, "order": {}}}, NO_PLACE),
]


def refused(window: dict[str, Any]) -> str:
    try:
        Window(**window)
    except LiveOrdersError as error:
        return str(error)
    return ""


def test_a_window_begins_after_a_place_of_its_own_list_only() -> None:
    lines = "".join(f"{json.dumps(window)}\n" for window, _ in WINDOWS)
    by_node = subprocess.run(
        ["node", NODE], input=lines, capture_output=True, text=True, timeout=60, check=True
    ).stdout.splitlines()
    by_python = [refused(window) for window, _ in WINDOWS]
    for (window, expected), *found in zip(WINDOWS, by_python, by_node, strict=True):
        assert [each[: len(expected) or None] for each in found] == [expected] * 2, window


async def test_only_a_window_has_a_next_place() -> None:
    async with LiveOrders("http://localhost:1") as orders:
        with pytest.raises(LiveOrdersError, match="there is no window"):
            await orders.next_place()


@asynccontextmanager
async def libraries(mongodb_uri: str, redis_url: str, run: RunService) -> AsyncIterator[tuple[Scene, list[Subject]]]:
    async with scene(mongodb_uri, redis_url, run) as made, AsyncExitStack() as stack:
        yield made, [await stack.enter_async_context(subject(name)) for name in ("python", "js")]


async def reaches(library: Subject, phase: str) -> None:
    await until(lambda: library.shown["phase"] == phase, f"it is {phase}")


async def test_a_place_is_that_of_the_last_order_alone(
    mongodb_uri: str, redis_url: str, run_service: RunService
) -> None:
    names: list[Any] = ["", "Ada", "b" * 200, "c" * 201, "d" * 5000, {"name": "Ada"}, Binary(b"x"), ["e"], ["f", "g"]]
    cannot = "the customer_name of the last order cannot mark a place"
    async with libraries(mongodb_uri, redis_url, run_service) as (made, each_library):
        await made.orders.insert_many(
            [{"_id": f"o{number}", "customer_name": name, "n": 1} for number, name in enumerate(names)]
        )
        for library in each_library:
            found = []
            for limit in range(1, len(names) + 1):
                library.open(made.link.url, window={"sort": "customer_name", "limit": limit})
                found.append(await library.next_place())
            orders = [place["order"] for place in found if isinstance(place, dict)]
            assert orders == [
                {"_id": "o0", "customer_name": ""},
                {"_id": "o1", "customer_name": "Ada"},
                {"_id": "o2", "customer_name": "b" * 200},
                {"_id": "o6", "customer_name": "eA=="},
                {"_id": "o7", "customer_name": []},
            ]
            assert [place for place in found if isinstance(place, str) and cannot in place] == found[3:6]
            assert found[-1] is None


async def test_a_mark_that_the_server_refuses_ends_the_window(
    mongodb_uri: str, redis_url: str, run_service: RunService
) -> None:
    async with libraries(mongodb_uri, redis_url, run_service) as (made, each_library):
        for library in each_library:
            library.open(made.link.url, window={"limit": 5, "after": {**PLACE, "mark": "~~kbroken"}})
            await reaches(library, "ended")
            assert "after" in library.shown["reason"]
            assert "after" in await library.next_place()


@pytest.mark.parametrize(("others", "phase"), [(60, "live"), (500, "ended")])
async def test_a_window_of_a_collection_with_a_collation_is_whole_or_none(
    mongodb_uri: str, redis_url: str, run_service: RunService, others: int, phase: str
) -> None:
    """To such a MongoDB, texts in capitals fit the filter; the server leaves them out, so that its lists are short."""
    async with AsyncMongoClient[dict[str, Any]](mongodb_uri) as client:
        await client.get_default_database().create_collection("orders", collation={"locale": "en", "strength": 1})
    async with libraries(mongodb_uri, redis_url, run_service) as (made, each_library):
        await made.orders.insert_many([{"_id": f"p{number}", "status": "pending"} for number in range(5)])
        await made.orders.update_one({"_id": "p0"}, {"$set": {"updated_at": datetime(2026, 1, 1, tzinfo=UTC)}})
        await made.orders.insert_many([{"_id": f"x{number}", "status": "PENDING"} for number in range(others)])
        for library in each_library:
            library.open(made.link.url, window={"limit": 3}, filter={"status": ["pending"]})
            await reaches(library, phase)
            if phase == "live":
                assert library.shown["ids"] == ["p4", "p3", "p2"]
            else:
                assert "collation" in library.shown["reason"]
            library.open(made.link.url, window={"sort": "-updated_at", "limit": 2}, filter={"status": ["pending"]})
            assert "cannot mark a place" in str(await library.next_place())


async def test_a_place_is_waited_for(mongodb_uri: str, redis_url: str, run_service: RunService) -> None:
    async with libraries(mongodb_uri, redis_url, run_service) as (made, each_library):
        await made.orders.insert_many([{"_id": "a"}, {"_id": "b"}])
        for library in each_library:
            library.open(made.link.url, window={"limit": 1})
            await reaches(library, "live")
            made.disturb("down")
            asking = asyncio.create_task(library.next_place())
            await reaches(library, "stale")
            assert not asking.done()
            made.disturb("up")
            assert await asking == {"sort": "-_id", "mark": "b", "order": {"_id": "b"}}
