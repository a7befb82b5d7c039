"""Gateways die and connections break: a stock client goes on where it was, on any replica and any transport."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
from bson import ObjectId

from services.common.cursor import Cursor
from tests.e2e.clients import Listener, curl, node
from tests.e2e.conftest import Orders, Product
from tests.e2e.switch import switch
from tests.waiting import until


async def insert(orders: Orders, count: int) -> list[str]:
    """Insert orders one after the other; return their ids."""
    ids = [ObjectId() for _ in range(count)]
    for order in ids:
        await orders.insert_one({"_id": order, "status": "pending"})
    return [str(order) for order in ids]


def updated_ids(client: Any) -> list[str]:
    return [each["id"] for each in client.updates]


async def test_a_client_is_recovered_by_another_replica_when_its_gateway_is_killed(product: Product) -> None:
    await product.watcher()
    first = await product.gateway(SERVER_NAME="one")
    second = await product.gateway(SERVER_NAME="two")
    async with switch(first.port) as proxy, node(proxy.url) as client:
        ids: list[str] = []
        for number, (dying, other) in enumerate([(first, second), (second, first), (first, second)]):
            ids += await insert(product.orders, 5)
            await client.has(len(ids))
            proxy.port = other.port
            await dying.kill()
            ids += await insert(product.orders, 5)
            await client.has(len(ids))
            await dying.start()
            assert [line["recovered"] for line in client.heard("connect")] == [False] + [True] * (number + 1)
        assert updated_ids(client) == ids
        assert [each["server"] for each in client.named("connected")] == ["one", "two", "one", "two"]
        assert client.named("resync") == []


async def test_a_quiet_stream_is_recovered_again_and_again_and_over_every_transport(product: Product) -> None:
    await product.watcher()
    gateway = await product.gateway()
    for transports in (["websocket"], ["polling"]):
        async with switch(gateway.port) as proxy, node(proxy.url, transports) as client:
            for number in range(3):
                # A poll that is cut between two requests would not be noticed by anybody.
                proxy.cut() if transports == ["websocket"] else client.ask("drop")
                await client.connected(number + 2)
            ids = await insert(product.orders, 2)
            await client.has(2)
            assert updated_ids(client) == ids
            assert [line["recovered"] for line in client.heard("connect")] == [False, True, True, True]
            assert client.named("resync") == []


async def test_an_unrecoverable_session_starts_fresh_and_says_why(product: Product) -> None:
    await product.watcher()
    gateway = await product.gateway()
    async with node(gateway.url) as client:
        await insert(product.orders, 1)
        await client.has(1)
        here = Cursor.parse(client.cursor)
        other = Cursor("0other0", here.position)
        cases = [
            ({"pid": "forged.0123456789abcdef01234567"}, "invalid_session"),
            ({"pid": ""}, None),
            ({"offset": "no cursor"}, "invalid_cursor"),
            ({"offset": str(other)}, "epoch_unknown"),
            ({"offset": f"{here}~%%%"}, "invalid_cursor"),
        ]
        for number, (edited, reason) in enumerate(cases):
            before = len(client.named("resync"))
            client.ask("drop", **edited)
            await client.connected(number + 2)
            ids = await insert(product.orders, 1)
            await _ends_with(client, ids[0])
            reasons = [each["reason"] for each in client.named("resync")[before:]]
            assert reasons == ([reason] if reason else []), edited
            assert client.heard("connect")[-1]["recovered"] is False, edited
        assert len(set(updated_ids(client))) == len(updated_ids(client))


async def test_a_client_crosses_from_socketio_on_one_replica_to_sse_on_another_and_back(product: Product) -> None:
    await product.watcher()
    first, second = await product.gateway(), await product.gateway()
    async with node(first.url) as client:
        ids = await insert(product.orders, 3)
        await client.has(3)
        seen, cursor = updated_ids(client), client.cursor
    ids += await insert(product.orders, 3)
    async with curl(f"{second.url}/api/orders/events", "-H", f"Last-Event-ID: {cursor}") as stream:
        ids += await insert(product.orders, 1)
        await stream.has(4)
        seen += updated_ids(stream)
        cursor = stream.cursor
    ids += await insert(product.orders, 2)
    async with node(first.url, ["polling"], auth={"since": cursor}) as back:
        ids += await insert(product.orders, 1)
        await back.has(3)
        seen += updated_ids(back)
    assert seen == ids


async def test_a_filtered_client_is_recovered_with_its_filter_on_another_replica(product: Product) -> None:
    await product.watcher()
    first, second = await product.gateway(), await product.gateway()
    async with switch(first.port) as proxy, node(proxy.url) as client:
        client.ask("emit", args=["subscribe", {"status": "shipped"}])
        await until(lambda: client.heard("ack"), "the filter is set")
        proxy.port = second.port
        await first.kill()
        await product.orders.insert_one({"status": "pending"})
        shipped = await product.orders.insert_one({"status": "shipped"})
        await client.has(1)
        assert updated_ids(client) == [str(shipped.inserted_id)]
        assert client.heard("connect")[-1]["recovered"] is True


async def test_a_client_that_loads_while_others_write_ends_with_the_databases_orders(product: Product) -> None:
    await product.watcher()
    gateways = [await product.gateway(), await product.gateway()]
    stop = asyncio.Event()

    async def write(seed: int) -> None:
        ids: list[ObjectId] = []
        number = 0
        while not stop.is_set():
            number += 1
            order = ObjectId()
            await product.orders.insert_one({"_id": order, "status": "pending", "number": number, "writer": seed})
            ids.append(order)
            await product.orders.update_one({"_id": ids[len(ids) // 2]}, {"$set": {"status": f"status {number}"}})
            if len(ids) > 30:  # so that one page holds them all: only one read is of one moment
                await product.orders.delete_one({"_id": ids.pop(0)})

    writers = [asyncio.create_task(write(seed)) for seed in range(2)]
    async with _viewers([gateway.url for gateway in gateways]) as viewers:
        stop.set()
        await asyncio.gather(*writers)
        end = str((await product.orders.insert_one({"status": "pending"})).inserted_id)
        expected = {str(order["_id"]): order.get("status") async for order in product.orders.find({}, {"status": 1})}
        for name, (listed, client) in viewers.items():
            await _ends_with(client, end)
            assert _state(listed, client.updates) == expected, name
            cursors = [Cursor.parse(each["cursor"]) for each in client.updates]
            assert cursors == sorted(set(cursors)), name
            assert len(cursors) > 50, name


@asynccontextmanager
async def _viewers(urls: list[str]) -> AsyncIterator[dict[str, tuple[list[dict[str, Any]], Listener]]]:
    """Load the list and follow it, again and again while others write, over both transports and from both replicas."""
    async with AsyncExitStack() as stack, aiohttp.ClientSession() as http:
        viewers: dict[str, tuple[list[dict[str, Any]], Listener]] = {}
        for number in range(6):
            listed, since = await _load(http, urls[number % 2])
            other = urls[(number + number // 2) % 2]
            if number % 3:
                client: Listener = await stack.enter_async_context(node(other, auth={"since": since}))
            else:
                client = await stack.enter_async_context(curl(f"{other}/api/orders/events?since={since}"))
            viewers[f"viewer {number}"] = listed, client
        for _, client in viewers.values():
            await client.has(60)
        yield viewers


async def _load(http: aiohttp.ClientSession, url: str) -> tuple[list[dict[str, Any]], str]:
    """Return all orders, and the cursor to follow changes from."""
    async with http.get(f"{url}/api/orders", params={"limit": "100"}) as reply:
        orders: list[dict[str, Any]] = await reply.json()
        assert "next" not in reply.links
        return orders, reply.headers["Stream-Cursor"]


async def _ends_with(client: Listener, order: str) -> None:
    await until(lambda: updated_ids(client)[-1:] == [order], "the last change")


def _state(listed: list[dict[str, Any]], updates: list[dict[str, Any]]) -> dict[str, Any]:
    """Apply a client's events to its list; an order may be inserted only if it does not exist."""
    state = {order["_id"]: order.get("status") for order in listed}
    for each in updates:
        match each["operation"]:
            case "INSERT":
                assert each["id"] not in state
                state[each["id"]] = each["data"]["status"]
            case "UPDATE":
                assert each["id"] in state
                state[each["id"]] = each["data"]["status"]
            case "DELETE":
                del state[each["id"]]
    return state
