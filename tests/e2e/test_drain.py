"""A gateway that is told to stop: its clients get changes until each is closed, and resume elsewhere."""

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
import socketio

from services.common.cursor import Cursor
from tests.e2e.conftest import Product
from tests.service_process import ServiceProcess
from tests.waiting import HANGS, cancel_all, until

EACH = 3  # clients of each kind


@dataclass
class Client:
    """One client: its events at each gateway, in order."""

    kind: str
    told: list[list[str]] = field(default_factory=list)
    cursor: str = ""
    connected: int = 0
    faults: list[str] = field(default_factory=list)

    def arrive(self) -> None:
        self.told.append([])
        self.connected += 1

    def take(self, name: str, data: dict[str, Any]) -> None:
        if name == "orderUpdate":
            if self.cursor and Cursor.parse(data["cursor"]).position <= Cursor.parse(self.cursor).position:
                self.faults.append(f"{data['cursor']} came after {self.cursor}")
            self.told[-1].append(data["data"]["product_name"])
        elif name == "resync":
            self.faults.append(f"resync {data}")
        self.cursor = data["cursor"]

    async def follow(self, *urls: str) -> None:
        """Stay with each gateway until it closes the connection."""
        for url in urls:
            await (self._stream(url) if self.kind == "sse" else self._socket(url))

    async def _socket(self, url: str) -> None:
        sio = socketio.AsyncClient(reconnection=False, request_timeout=HANGS)
        for name in ("connected", "orderUpdate", "resync"):
            sio.on(name, lambda data, *_, name=name: self.take(name, data))
        gone = asyncio.Event()
        sio.on("disconnect", lambda *_: gone.set())  # `wait` of the stock client takes its time after a poll
        self.arrive()
        auth = {"since": self.cursor} if self.cursor else {}
        await sio.connect(url, transports=[self.kind], auth=auth, wait_timeout=HANGS)
        try:
            await gone.wait()
        finally:
            await sio.shutdown()

    async def _stream(self, url: str) -> None:
        query = {"since": self.cursor} if self.cursor else {}
        self.arrive()
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as http,
            http.get(f"{url}/api/orders/events", params=query) as response,
        ):
            name = ""
            async for line in response.content:
                if line.startswith(b"event: "):
                    name = line[7:].strip().decode()
                elif line.startswith(b"data: "):
                    self.take(name, json.loads(line[6:]))


def sigterm(gateway: ServiceProcess) -> None:
    os.kill(gateway.pid, signal.SIGTERM)


async def writing(product: Product, written: list[str], enough: asyncio.Event) -> None:
    """Write orders until there are enough; a cancelled write might be done, and not noted."""
    while not enough.is_set():
        name = f"product {len(written)}"
        await product.orders.insert_one({"customer_name": "Ada", "product_name": name, "status": "pending"})
        written.append(name)
        await asyncio.sleep(0.02)


async def test_events_flow_until_each_client_is_closed_and_go_on_elsewhere(product: Product) -> None:
    await product.watcher()
    leaving = await product.gateway(DRAIN_SECONDS="3")
    staying = await product.gateway()
    clients = [Client(kind) for _ in range(EACH) for kind in ("websocket", "polling", "sse")]
    written: list[str] = []
    tasks = []
    for client in clients:  # one after the other: in this order they will be closed
        tasks.append(asyncio.create_task(client.follow(leaving.url, staying.url)))
        await until(lambda: client.cursor, "it is connected")  # noqa: B023
    enough = asyncio.Event()
    writer = asyncio.create_task(writing(product, written, enough))
    await until(lambda: all(len(client.told[0]) > 5 for client in clients), "all are told of changes")
    before, sent = [len(client.told[0]) for client in clients], len(written)
    sigterm(leaving)
    assert await leaving.wait() == 0
    during = [len(client.told[0]) - count for client, count in zip(clients, before, strict=True)]
    assert all(count > 10 for count in during[-3:]), f"the last of each kind lived on: {during}"
    await until(lambda: all(client.connected == 2 for client in clients), "all have gone on")
    enough.set()
    await writer
    assert len(written) > sent + 20
    await until(lambda: all(client.told[1][-1:] == written[-1:] for client in clients), "all are told of the last")
    await cancel_all(*tasks)
    for client in clients:
        told = [name for names in client.told for name in names]
        assert not client.faults
        assert told == written[written.index(told[0]) :], "each once, in order, none left out"


@pytest.mark.parametrize("again", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_stop_signal_ends_the_drain(product: Product, again: signal.Signals) -> None:
    await product.watcher()
    gateway = await product.gateway(DRAIN_SECONDS="600")
    client = Client("websocket")
    await draining(gateway, client, lambda: _send(gateway, again))
    assert await gateway.wait() == 0


async def _send(gateway: ServiceProcess, number: signal.Signals) -> None:
    os.kill(gateway.pid, number)


async def draining(gateway: ServiceProcess, client: Client, then: Callable[[], Awaitable[None]]) -> None:
    following = asyncio.create_task(client.follow(gateway.url))
    await until(lambda: client.cursor, "it is connected")
    sigterm(gateway)
    await until(lambda: "Closing connections" in gateway.output, "the drain has begun")
    await then()
    with suppress(asyncio.CancelledError, socketio.exceptions.ConnectionError):
        await following


async def test_a_draining_gateway_says_so_and_takes_no_new_clients(product: Product) -> None:
    await product.watcher()
    gateway = await product.gateway(DRAIN_SECONDS="600")
    client = Client("sse")

    async def look() -> None:
        async with aiohttp.ClientSession(gateway.url) as http:
            for path, status in (
                ("/readyz", 503),
                ("/healthz", 200),
                ("/api/orders", 200),
                ("/api/orders/events", 503),
            ):
                async with http.get(path) as answer:
                    assert (path, answer.status) == (path, status)
        sigterm(gateway)

    await draining(gateway, client, look)
    assert await gateway.wait() == 0
