"""Random writes and breaks: each library's window is what it should be of the database, at every position."""

import random
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import ClientSession
from bson import ObjectId
from pymongo import DeleteMany, InsertOne, UpdateOne

from services.common.order_indexes import serving
from tests.clients.database import watched
from tests.clients.subject import TRANSPORTS, subject
from tests.clients.test_scenarios import Scene, compare, scene
from tests.conftest import RunService

RUNS, PARTS = 200, 5
FIELDS = ("_id", "updated_at", "customer_name", "product_name", "status")
STATUSES = ["pending", "shipped", "delivered"]
NAMES = ["Ada", "Bob", "ada", "Åke", "\U0001f600", "\uff01", "", "12", "2026-01-01T00:00:00.000Z"]


class Dice(random.Random):
    """Makes up windows, filters, orders and writes."""

    def window(self, wanted: dict[str, list[str]]) -> dict[str, Any]:
        """Return one that an index serves."""
        fields = [each for each in FIELDS if serving(frozenset(wanted), each) is not None]
        sort = self.choice(("", "-")) + self.choice(fields)
        return {"sort": sort, "limit": self.randint(1, 12), "skip": self.choice((0, 0, 0, 2))}

    def filter(self) -> dict[str, list[str]]:
        return self.choice(({}, {}, {"status": ["pending"]}, {"status": ["pending", "shipped"]}))

    def fields(self) -> dict[str, Any]:
        day = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=self.randrange(20))
        strange = [None, 7, 2.5, day, True] if self.random() < 0.02 else NAMES[:6]
        every = {
            "customer_name": self.choice(strange),
            "product_name": self.choice(NAMES),
            "status": self.choice(STATUSES),
            "updated_at": day,
        }
        return {name: value for name, value in every.items() if self.random() < 0.95}

    def order(self) -> dict[str, Any]:
        name: Any = ObjectId(self.randbytes(12))
        if self.random() < 0.1:
            name = self.choice([f"order {self.random()}", f"{self.randbytes(12).hex()}", self.randrange(1_000_000)])
        return {"_id": name, **self.fields()}


async def write(made: Scene, dice: Dice) -> None:
    """Write as other programs do; deletions are of the orders that are shown, so that the window runs short."""
    ids = [each["_id"] async for each in made.orders.find({}, {"_id": 1}).sort("_id", -1)]
    match dice.choices(("insert", "update", "delete", "delete many", "batch", "break"), (6, 8, 4, 2, 2, 1))[0]:
        case "insert":
            await made.orders.insert_one(dice.order())
        case "update" if ids:
            await made.orders.update_one({"_id": dice.choice(ids)}, {"$set": dice.fields()})
        case "delete" if ids:
            await made.orders.delete_one({"_id": dice.choice(ids)})
        case "delete many" if ids:
            field, value = dice.choice(list(dice.fields().items()) or [("status", "pending")])
            await made.orders.delete_many({field: value, "_id": {"$in": ids[: dice.randrange(40)]}})
        case "batch":
            chosen = dice.sample(ids, min(len(ids), 3))
            updates = [UpdateOne({"_id": each}, {"$set": dice.fields()}) for each in chosen]
            await made.orders.bulk_write([*updates, DeleteMany({"_id": {"$in": ids[:5]}}), InsertOne(dice.order())])
        case "break":
            await made.act(dice.choice(({"cut": True}, {"hop": True}, {"use": dice.choice(TRANSPORTS)})))


async def check_oracle(made: Scene, session: ClientSession, window: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Compare what the test takes for the window with the list that the server sorts."""
    query = [("sort", window["sort"]), ("limit", str(window["skip"] + window["limit"]))]
    query += [("after", window["after"]["mark"])] if window.get("after") else []
    query += [("status", each) for each in wanted.get("status", [])]
    async with session.get(f"http://127.0.0.1:{made.gateways[0].port}/api/orders", params=query) as answer:
        listed = (await answer.json())[window["skip"] :]
    assert list(made.database.rows.values()) == listed


async def place_of(made: Scene, dice: Dice, wanted: dict[str, list[str]], window: dict[str, Any]) -> Any:
    """Return the place below some of the orders; None where there are not so many."""
    here = {**window, "limit": dice.randint(1, 20)}
    for copy in made.libraries:
        copy.open(made.link.url, filter=wanted, window=here)
    found, other = [await copy.next_place() for copy in made.libraries]
    assert found == other
    return found


@pytest.mark.parametrize("part", range(PARTS))  # which may be tested at the same time
async def test_windows_are_the_first_orders_of_the_database(
    mongodb_uri: str, redis_url: str, run_service: RunService, part: int
) -> None:
    runs = range(part, RUNS, PARTS)
    changes = places = 0
    async with scene(mongodb_uri, redis_url, run_service) as made, AsyncExitStack() as stack:
        made.libraries = [await stack.enter_async_context(subject(name)) for name in ("python", "js")]
        session = await stack.enter_async_context(ClientSession())
        for seed in runs:
            dice = Dice(seed)
            wanted = dice.filter()
            window = dice.window(wanted)
            await made.orders.delete_many({})
            await made.orders.insert_many([dice.order() for _ in range(dice.randint(1, 60))])
            if dice.random() < 0.5:
                window["after"] = await place_of(made, dice, wanted, window)
                places += window["after"] is not None
            async with watched(made.orders, wanted, window) as made.database:
                for copy in made.libraries:
                    over = dice.sample(TRANSPORTS, 3)
                    copy.open(made.link.url, transports=over, filter=wanted, window=window)
                for number in range(20):
                    await write(made, dice)
                    if number % 10 == 9:
                        await made.settled()
                await check_oracle(made, session, window, wanted)
                for copy in made.libraries:
                    try:
                        compare(copy, made.database, has_one_epoch=True)
                    except AssertionError as error:
                        raise AssertionError(f"{copy.name}, run {seed}: {window} of {wanted}") from error
                    changes += len(copy.views)
    assert changes > 20 * len(runs)  # the libraries had something to show
    assert places > len(runs) // 5
