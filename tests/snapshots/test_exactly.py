"""A list and the changes that follow it equal the database at every commit, wherever the client has been."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import pytest

from services.common.cursor import Position
from tests.integration.change_history import Change, changes_since
from tests.running_product import Orders
from tests.snapshots.conftest import Scene
from tests.snapshots.followers import TRANSPORTS, Follower, following
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

STATUSES = ("pending", "shipped", "delivered")
CUSTOMERS = ("Ada", "Grace", "Edsger")
Wanted = Mapping[str, str]


def order(dice: random.Random) -> dict[str, Any]:
    return {
        "customer_name": dice.choice(CUSTOMERS),
        "product_name": str(dice.random()),
        "status": dice.choice(STATUSES),
    }


async def write(orders: Orders, dice: random.Random, known: list[Any], count: int) -> None:
    for _ in range(count):
        match dice.choice(["insert", "update", "update", "replace", "delete", "many"]):
            case "insert":
                known.append((await orders.insert_one(order(dice))).inserted_id)
            case "update":
                await orders.update_one({"_id": dice.choice(known)}, {"$set": order(dice)})
            case "replace":
                await orders.replace_one({"_id": dice.choice(known)}, order(dice))
            case "many":
                await orders.update_many({"_id": {"$in": dice.sample(known, 5)}}, {"$set": order(dice)})
            case "delete":
                await orders.delete_one({"_id": known.pop(dice.randrange(len(known)))})
        await asyncio.sleep(0.002)


async def wander(client: Follower, urls: Sequence[str], dice: random.Random, wanted: Wanted, legs: int) -> None:
    """Break off inside the snapshot or after it, and come back elsewhere."""
    for _ in range(legs):
        enough = len(client.told) + dice.choice([1, 2, 2, 3, 10, 40])
        async with following(dice.choice(urls), dice.choice(TRANSPORTS), client, wanted):
            with suppress(AssertionError):  # its filter may let nothing through just now
                await until(lambda: len(client.told) >= enough, "it has been told enough", 1)  # noqa: B023


def states(changes: Sequence[Change], wanted: Wanted) -> list[tuple[Position, dict[str, dict[str, Any]]]]:
    """Return the orders that fit after each cluster time."""
    found: list[tuple[Position, dict[str, dict[str, Any]]]] = []
    state: dict[str, dict[str, Any]] = {}
    for change in changes:
        fits = change.order is not None and all(change.order[field] == value for field, value in wanted.items())
        if change.order is not None and fits:
            state = {**state, change.id: change.order}
        else:
            state = {name: each for name, each in state.items() if name != change.id}
        found.append((Position(change.at, 0), state))
    return found


def differences(client: Follower, truth: list[tuple[Position, dict[str, dict[str, Any]]]]) -> list[str]:
    found, index = [], 0
    for position, rows in client.shown:
        index = 0 if index and truth[index][0] > position else index
        while index + 1 < len(truth) and truth[index + 1][0] <= position:
            index += 1
        if rows != truth[index][1]:
            found.append(f"at {position}: {len(rows)} orders shown, {len(truth[index][1])} are there")
    return found


@pytest.mark.parametrize("seed", [1, 2])
async def test_what_is_shown_equals_the_database_at_every_commit(emptied: Scene, seed: int) -> None:
    dice = random.Random(seed)
    began = await emptied.now()
    seeded = await emptied.orders.insert_many([order(dice) for _ in range(700)])
    known = list(seeded.inserted_ids)
    wishes: list[Wanted] = [{}, {}, {}, {"status": "pending"}, {"customer_name": "Ada"}]
    wishes += [{"customer_name": "Ada", "status": "shipped"}]
    clients = [Follower(keeps_all=True) for _ in wishes]
    writing = asyncio.create_task(write(emptied.orders, random.Random(seed), known, 400))
    wandering = [
        wander(client, emptied.urls, random.Random(dice.random()), wanted, 10)
        for client, wanted in zip(clients, wishes, strict=True)
    ]
    await asyncio.gather(*wandering)
    await writing
    last = {"customer_name": "Ada", "product_name": "last", "status": "shipped"}
    marked = str((await emptied.orders.insert_one(last)).inserted_id)
    for client, wanted in zip(clients, wishes, strict=True):
        if wanted.get("status", "shipped") == "shipped":
            async with following(dice.choice(emptied.urls), dice.choice(TRANSPORTS), client, wanted):
                await until(lambda: client.is_live and marked in client.rows, "it has caught up")  # noqa: B023
    changes = await changes_since(emptied.orders, began, until=marked)
    assert [client.faults for client in clients] == [[] for _ in clients]
    assert [differences(client, states(changes, wanted)) for client, wanted in zip(clients, wishes, strict=True)] == [
        [] for _ in clients
    ]
    assert all(len(client.shown) > 5 for client in clients), "there was something to compare"
    restarts = sum(payload["part"] == 0 for client in clients for payload in client.named("snapshot"))
    assert restarts > len(clients), "some broke off inside the snapshot"
