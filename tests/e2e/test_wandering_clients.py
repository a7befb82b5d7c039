"""Clients that come and go at random, by any transport, to any replica, some with filters, while orders change."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
import socketio

from services.common.cursor import Cursor
from tests.e2e.conftest import Orders, Product
from tests.waiting import HANGS, cancel_all, until

STATUSES = ["pending", "shipped", "delivered"]
CUSTOMERS = ["Ada", "Grace", "Edsger"]
TRANSPORTS = ["websocket", "polling", "sse"]


@dataclass
class Wanderer:
    """A client's list and its position in the stream; it notices events that come twice or out of order."""

    wanted: dict[str, str]
    cursor: str = ""
    rows: dict[str, Any] = field(default_factory=dict)
    told: int = 0
    faults: list[str] = field(default_factory=list)

    def load(self, orders: Sequence[dict[str, Any]], cursor: str) -> None:
        self.rows = {order["_id"]: order for order in orders}
        self.cursor = cursor

    def take(self, envelope: dict[str, Any]) -> None:
        last, now = Cursor.parse(self.cursor), Cursor.parse(envelope["cursor"])
        if now.epoch != last.epoch or now.position <= last.position:
            self.faults.append(f"{now} came after {last}")
        self.cursor = envelope["cursor"]
        self.told += 1
        if envelope["operation"] == "DELETE":
            self.rows.pop(envelope["id"], None)
        else:
            self.rows[envelope["id"]] = envelope["data"]


@asynccontextmanager
async def socket(url: str, transport: str, client: Wanderer) -> AsyncIterator[None]:
    sio = socketio.AsyncClient(reconnection=False, request_timeout=HANGS)
    sio.on("orderUpdate", lambda envelope, _: client.take(envelope))
    sio.on("resync", lambda notice, _: client.faults.append(f"resync {notice}"))
    auth = {"since": client.cursor, **({"filter": client.wanted} if client.wanted else {})}
    await sio.connect(url, transports=[transport], auth=auth, wait_timeout=HANGS)
    try:
        yield
    finally:
        await sio.shutdown()


@asynccontextmanager
async def stream(url: str, client: Wanderer) -> AsyncIterator[None]:
    async def read(response: aiohttp.ClientResponse) -> None:
        name = ""
        async for line in response.content:
            if line.startswith(b"event: "):
                name = line[7:].strip().decode()
            elif line.startswith(b"data: ") and name == "orderUpdate":
                client.take(json.loads(line[6:]))
            elif line.startswith(b"data: ") and name == "resync":
                client.faults.append(f"resync {line!r}")

    query = {**client.wanted, "since": client.cursor}
    async with aiohttp.ClientSession() as http, http.get(f"{url}/api/orders/events", params=query) as response:
        task = asyncio.create_task(read(response))
        try:
            yield
        finally:
            await cancel_all(task)


async def wander(client: Wanderer, urls: Sequence[str], dice: random.Random, legs: int) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{dice.choice(urls)}/api/orders", params=client.wanted) as reply,
    ):
        client.load(await reply.json(), reply.headers["Stream-Cursor"])
    for _ in range(legs):
        url, transport = dice.choice(urls), dice.choice(TRANSPORTS)
        enough = client.told + dice.randint(0, 25)
        async with stream(url, client) if transport == "sse" else socket(url, transport, client):
            # The dice choose how long a leg lasts; the time limit is for filters that let nothing through just now.
            with suppress(AssertionError):
                await until(lambda: client.told >= enough, "it has been told enough", 1)  # noqa: B023


async def write(orders: Orders, dice: random.Random, count: int) -> None:
    known: list[Any] = []
    for _ in range(count):
        order = {"customer_name": dice.choice(CUSTOMERS), "product_name": "thing", "status": dice.choice(STATUSES)}
        action = dice.choice(["insert", "update", "update", "delete"]) if len(known) > 5 else "insert"
        if action == "insert":
            known.append((await orders.insert_one(order)).inserted_id)
        elif action == "update":
            await orders.update_one({"_id": dice.choice(known)}, {"$set": order})
        else:
            await orders.delete_one({"_id": known.pop(dice.randrange(len(known)))})
        await asyncio.sleep(0.004)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_each_list_equals_the_query_wherever_the_client_has_been(product: Product, seed: int) -> None:
    dice = random.Random(seed)
    await product.watcher()
    # With a ring this small, many clients that reconnect need the log in Redis.
    urls = [(await product.gateway(RING_EVENTS="40")).url for _ in range(2)]
    wishes: list[dict[str, str]] = [{}, {}, {"status": "pending"}, {"status": "shipped"}, {"customer_name": "Ada"}]
    clients = [Wanderer(wanted) for wanted in wishes]
    writing = asyncio.create_task(write(product.orders, random.Random(seed), 600))
    await asyncio.gather(*(wander(client, urls, random.Random(dice.random()), 8) for client in clients))
    await writing
    for client in clients:
        found = {str(order["_id"]): order["status"] async for order in product.orders.find(dict(client.wanted))}
        async with stream(dice.choice(urls), client):
            await until(lambda: shown(client) == found, f"the list of {client.wanted} equals the query")  # noqa: B023
    assert [client.faults for client in clients] == [[], [], [], [], []]
    assert all(client.told > 20 for client in clients), "there was something to tell"


def shown(client: Wanderer) -> dict[str, str]:
    return {name: order["status"] for name, order in client.rows.items()}
