"""Third-party clients connect, are cut, resume at another replica, and get everything once."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import socketio
from aiohttp_sse_client2.client import EventSource
from httpx_sse import aconnect_sse

from tests.e2e.clients import Listener, process_lines
from tests.e2e.conftest import Product
from tests.e2e.switch import Switch, switch
from tests.waiting import HANGS, cancel_all, until

SCRIPT = Path(__file__).with_name("stranger.mjs")
NAMES = ("connected", "orderUpdate", "resync")

Client = Callable[[str, Listener], Coroutine[Any, Any, None]]


def pass_on(listener: Listener, name: str, data: Any) -> None:
    if name in NAMES:
        listener.take({"what": "event", "name": name, "args": [data]})


async def python_socketio(url: str, listener: Listener) -> None:
    client = socketio.AsyncClient(reconnection_delay=0.05, reconnection_delay_max=0.2)
    for name in NAMES:
        client.on(name, lambda data, _offset, name=name: pass_on(listener, name, data))
    await client.connect(url, auth=lambda: {"since": listener.cursor} if listener.said else {}, wait_timeout=HANGS)
    try:
        await asyncio.Event().wait()
    finally:
        await client.shutdown()


async def httpx_sse(url: str, listener: Listener) -> None:
    last_id = ""
    async with httpx.AsyncClient(timeout=30) as http:
        while True:  # as its readme does it
            try:
                headers = {"Last-Event-ID": last_id} if last_id else {}
                async with aconnect_sse(http, "GET", f"{url}/api/orders/events", headers=headers) as source:
                    async for event in source.aiter_sse():
                        last_id = event.id
                        pass_on(listener, event.event, json.loads(event.data or "null"))
            except httpx.HTTPError:
                await asyncio.sleep(0.05)


async def aiohttp_sse_client2(url: str, listener: Listener) -> None:
    last_id = ""
    while True:
        headers = {"Last-Event-ID": last_id} if last_id else {}
        try:
            async with EventSource(f"{url}/api/orders/events", headers=headers, max_connect_retry=1) as source:
                async for event in source:
                    last_id = event.last_event_id
                    pass_on(listener, event.type, json.loads(event.data or "null"))
        except (aiohttp.ClientError, ConnectionError):
            await asyncio.sleep(0.05)


@asynccontextmanager
async def in_python(client: Client, url: str) -> AsyncIterator[Listener]:
    listener = Listener()
    task = asyncio.create_task(client(url, listener))
    try:
        yield listener
    finally:
        await cancel_all(task)


@asynccontextmanager
async def in_node(name: str, url: str) -> AsyncIterator[Listener]:
    listener = Listener()
    async with process_lines("node", str(SCRIPT), name, url, take=lambda line: listener.take(json.loads(line))):
        yield listener


NODE = ["eventsource", "event-source-polyfill", "fetch-event-source", "socket.io-client-3", "socket.io-client"]
PYTHON: list[Client] = [python_socketio, httpx_sse, aiohttp_sse_client2]
EVERYONE: list[str | Client] = [*NODE, *PYTHON]


async def write(product: Product, first: int, count: int) -> None:
    for number in range(first, first + count):
        order = {"customer_name": "Ada", "product_name": str(number), "status": "pending"}
        await product.orders.insert_one(order)


def named(client: str | Client) -> str:
    return client if isinstance(client, str) else client.__name__


@dataclass
class Stranger:
    """A client at work, and its connection, which can be cut."""

    name: str
    proxy: Switch
    told: Listener

    async def has(self, count: int) -> list[dict[str, Any]]:
        try:
            return await self.told.has(count)
        except AssertionError as error:
            raise AssertionError(f"{self.name}: {error}") from error


@asynccontextmanager
async def connected(client: str | Client, port: int) -> AsyncIterator[Stranger]:
    async with (
        switch(port) as proxy,
        in_node(client, proxy.url) if isinstance(client, str) else in_python(client, proxy.url) as listener,
    ):
        await until(lambda: listener.named("connected"), f"{named(client)} is connected")
        yield Stranger(named(client), proxy, listener)


# All at once: what takes long is that each waits before it connects again.
async def test_a_third_party_client_misses_nothing_and_gets_nothing_twice(product: Product) -> None:
    await product.watcher()
    gateways = [await product.gateway() for _ in range(2)]
    async with AsyncExitStack() as stack:
        opened = [connected(client, gateways[0].port) for client in EVERYONE]
        strangers = [await stack.enter_async_context(client) for client in opened]
        await write(product, 0, 10)
        await asyncio.gather(*(each.has(10) for each in strangers))
        for leg in (1, 2):
            for each in strangers:
                each.proxy.port = gateways[leg % 2].port
                each.proxy.cut()
            await write(product, leg * 10, 10)  # while they are away
            await asyncio.gather(*(each.has(leg * 10 + 10) for each in strangers))
        await write(product, 30, 5)
        for each in strangers:
            updates = await each.has(35)
            seen = [envelope["data"]["product_name"] for envelope in updates]
            assert seen == [str(number) for number in range(35)], each.name
            assert each.told.named("resync") == [], each.name
