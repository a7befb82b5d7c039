"""Orders of megabytes, as a batch job may write them: whoever changes one or asks for its past holds nobody else up."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

import aiohttp
import pytest
from bson import ObjectId

from services.common.normalize import LARGEST_IMAGE
from tests.abuse.product import Figures, figures, longest_turn
from tests.integration.watched_orders import JOHN, Stack
from tests.service_process import ServiceProcess
from tests.waiting import HANGS, cancel_all, until

_DAYS = [datetime(2026, 1, 1, tzinfo=UTC)]  # dear to decode, and to write as JSON
_DAY_BYTES = 16  # at least, with its key, where there are hundreds of thousands
LONGEST = 0.05  # seconds of CPU for one turn of a loop: the next but one of the metric's steps after 20 ms


def order_of(size: int) -> dict[str, Any]:
    return {"_id": ObjectId(), **JOHN, "days": _DAYS * (size // _DAY_BYTES)}


async def change(stack: Stack, order: Any, times: int) -> None:
    for number in range(times):
        await stack.orders.update_one({"_id": order}, {"$set": {"number": number}})


async def test_a_change_of_a_large_order_keeps_no_later_change_waiting(stack: Stack) -> None:
    watcher = await stack.watcher()
    large = order_of(7_000_000)
    await stack.orders.insert_one(large)
    await stack.log_of(1)
    before = await figures(watcher.admin_url)
    await change(stack, large["_id"], 3)
    await stack.orders.insert_one({**JOHN})
    await stack.orders.delete_one({"_id": large["_id"]})
    log = await stack.log_of(6)
    assert [each["data"] is None for each in log] == [True, True, True, True, False, True]
    assert _turn("watcher", before, await figures(watcher.admin_url)) <= LONGEST


async def test_the_past_of_a_large_order_does_not_hold_the_loop(stack: Stack) -> None:
    watcher = await stack.watcher()
    gateway = await _gateway(stack)
    for number, size in enumerate((7_000_000, 2_000_000), 1):
        order = order_of(size)
        await stack.orders.insert_one(order)
        await change(stack, order["_id"], 20)
        # Those that it has yet to hear of are searched for a moment only, which is too little on a busy machine.
        await until(partial(_has, gateway, 21 * number), "the gateway has all changes")
        before = await figures(gateway.admin_url)
        changes = await _past(gateway, order["_id"])
        assert len(changes) == 21
        assert all(each["incomplete"] for each in changes)
        assert longest_turn(before, await figures(gateway.admin_url)) <= LONGEST
    assert watcher.running


async def test_the_past_of_an_order_of_thousands_of_fields_comes_in_pages_that_hold_the_loop_for_a_moment_only(
    stack: Stack,
) -> None:
    await stack.watcher()
    gateway = await _gateway(stack)
    order = ObjectId()
    for number in range(60):
        fields = dict.fromkeys((f"{name:x}" for name in range(5_000)), number)
        await stack.orders.replace_one({"_id": order}, {**JOHN, **fields}, upsert=True)
    await until(lambda: _has(gateway, 60), "the gateway has all changes")
    before = await figures(gateway.admin_url)
    pages = [page async for page in _pages(gateway, f"/api/orders/{order}/history?limit=100")]
    changes = [each for page in pages for each in page["changes"]]
    assert [each["fields"][0] for each in changes] == [
        *({"field": "0", "from": number - 1, "to": number} for number in range(59, 0, -1)),
        {"field": "0", "from": None, "to": 0},
    ]
    assert longest_turn(before, await figures(gateway.admin_url)) <= LONGEST
    assert len(pages) > 1


async def _pages(gateway: ServiceProcess, path: str) -> AsyncIterator[dict[str, Any]]:
    async with aiohttp.ClientSession() as session:
        while path:
            async with session.get(gateway.url + path) as response:
                assert response.status == 200
                yield await response.json()
                path = str(response.links["next"]["url"]).removeprefix(gateway.url) if "next" in response.links else ""


async def test_whoever_reads_a_large_order_again_and_again_keeps_no_event_waiting(stack: Stack) -> None:
    """It is read in threads, but the interpreter has only one of them at work."""
    await stack.watcher()
    gateway = await _gateway(stack)
    large = order_of(12_000_000)
    await stack.orders.insert_one(large)
    async with (
        asyncio.timeout(100),
        aiohttp.ClientSession() as session,
        session.get(f"{gateway.url}/api/orders/events") as response,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(5):  # again where the machine was busy with something else
            quiet = await _usual_wait(stack, response.content)
            path = f"/api/orders/{large['_id']}"
            greedy = [group.create_task(_read_forever(gateway, path)) for _ in range(4)]
            loud = await _usual_wait(stack, response.content)
            await cancel_all(*greedy)
            if loud < 5 * quiet + 0.04:  # it was 0.09 s, and is 0.005 s
                return
    pytest.fail(f"events came after {loud:.3f} s, and after {quiet:.3f} s without them")


async def _usual_wait(stack: Stack, stream: aiohttp.StreamReader) -> float:
    """Return the median time from the write of an order to its event, in seconds."""
    waits: list[float] = []
    for _ in range(30):
        order = str((await stack.orders.insert_one({**JOHN})).inserted_id)
        written = perf_counter()
        while order.encode() not in await stream.readline():
            pass
        waits.append(perf_counter() - written)
    return median(waits)


async def _read_forever(gateway: ServiceProcess, path: str) -> None:
    """Read it on a connection that nobody else has to wait for."""
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            while await reader.read(1 << 20):
                pass
        finally:
            writer.transport.abort()


async def test_events_of_some_size_that_come_together_from_the_oplog_do_not_hold_the_loop(stack: Stack) -> None:
    """Fifty of them are one reply of MongoDB."""
    await stack.watcher(LOG_MAX_EVENTS="100")
    gateway = await _gateway(stack, RING_EVENTS="100")
    await stack.orders.insert_one({**JOHN})
    [first] = await stack.log_of(1)
    await stack.orders.insert_many([order_of(LARGEST_IMAGE * 2 // 3) for _ in range(60)])
    await stack.orders.insert_many([{**JOHN} for _ in range(400)])
    await until(lambda: _has(gateway, 461), "the gateway has all changes")
    before = await figures(gateway.admin_url)
    async with (
        asyncio.timeout(HANGS),
        aiohttp.ClientSession(read_bufsize=1 << 25) as session,
        session.get(f"{gateway.url}/api/orders/events", params={"since": first["cursor"]}) as response,
    ):
        told = 0
        while told < 460:
            told += (await response.content.readline()).startswith(b'data: {"operation"')
    assert longest_turn(before, await figures(gateway.admin_url)) <= LONGEST


async def test_a_large_field_that_is_hidden_takes_nothing_from_an_event(stack: Stack) -> None:
    visible = "product_name,number"
    await stack.watcher(VISIBLE_FIELDS=visible)
    gateway = await _gateway(stack, VISIBLE_FIELDS=visible)
    order = order_of(7_000_000)
    await stack.orders.insert_one(order)
    await change(stack, order["_id"], 2)
    log = await stack.log_of(3)
    assert [each["data"] for each in log] == [
        {"_id": str(order["_id"]), "product_name": JOHN["product_name"], **number}
        for number in ({}, {"number": 0}, {"number": 1})
    ]
    changes = await _past(gateway, order["_id"])
    assert [each["fields"] for each in changes[:2]] == [
        [{"field": "number", "from": 0, "to": 1}],
        [{"field": "number", "from": None, "to": 0}],
    ]


async def _gateway(stack: Stack, **settings: str) -> ServiceProcess:
    shared = {"MONGODB_URI": stack.mongodb_uri, "REDIS_URL": stack.redis_url}
    return await stack.run("gateway", {**shared, "LOG_FORMAT": "console", **settings})


async def _has(gateway: ServiceProcess, count: int) -> bool:
    return (await figures(gateway.admin_url))["orders_gateway_events_total"] >= count


async def _past(gateway: ServiceProcess, order: Any) -> Sequence[dict[str, Any]]:
    """Return the changes of an order; a busy machine may need longer for them than a request has."""
    address = f"{gateway.url}/api/orders/{order}/history?limit=100"

    async def told() -> dict[str, Any]:
        async with aiohttp.ClientSession() as session, session.get(address) as response:
            assert response.status in {200, 503}
            return await response.json() if response.status == 200 else {}

    changes: list[dict[str, Any]] = (await until(told, "the past is told"))["changes"]
    return changes


def _turn(service: str, before: Figures, after: Figures) -> float:
    """Return the same as `longest_turn` does for a gateway."""

    def renamed(figures: Figures) -> Figures:
        return {name.replace(f"orders_{service}_", "orders_gateway_"): value for name, value in figures.items()}

    return longest_turn(renamed(before), renamed(after))
