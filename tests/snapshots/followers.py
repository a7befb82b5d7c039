"""Clients that ask for the orders and their changes in one request, over every transport."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import socketio

from services.common.cursor import Cursor, Position
from services.gateway.snapshot_chunk import INSIDE
from tests.waiting import HANGS, meanwhile, until

TRANSPORTS = ("websocket", "polling", "sse")
EVENTS = {"Accept": "text/event-stream"}
UNLIMITED = aiohttp.ClientTimeout(total=None)


@dataclass
class Follower:
    """A client's list, complete once it ``is_live``, and where it is in the stream."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    since: str = ""
    is_live: bool = False
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    # What it showed once each commit had reached it.
    shown: list[tuple[Position, dict[str, dict[str, Any]]]] = field(default_factory=list)
    keeps_all: bool = False  # in `shown`
    parts: int = 0
    sio: Any = None  # of a Socket.IO client

    def take(self, name: str, payload: dict[str, Any]) -> None:
        self.told.append((name, payload))
        match name:
            case "snapshot":
                self._take_orders(payload)
            case "live":
                self.is_live = True
                if payload["count"] != len(self.rows):
                    self.faults.append(f"{payload['count']} orders were announced, {len(self.rows)} came")
                self._reached(payload["cursor"])
            case "orderUpdate":
                self._take_change(payload)
            case "resync":
                self.faults.append(f"resync {payload['reason']}")
        if "cursor" in payload:
            self.since = payload["cursor"]

    def _take_orders(self, payload: dict[str, Any]) -> None:
        if payload["part"] == 0:
            self.rows, self.is_live, self.parts = {}, False, 0
        if self.is_live or payload["part"] != self.parts:
            self.faults.append(f"part {payload['part']} came out of turn")
        self.parts = payload["part"] + 1
        for order in payload["orders"]:
            if order["_id"] in self.rows:
                self.faults.append(f"{order['_id']} came twice")
            self.rows[order["_id"]] = order

    def _take_change(self, envelope: dict[str, Any]) -> None:
        if not self.is_live:
            self.faults.append("a change came inside the snapshot")
            return
        if Cursor.parse(envelope["cursor"]).position <= Cursor.parse(self.since).position:
            self.faults.append(f"{envelope['cursor']} came after {self.since}")
        if envelope["operation"] == "DELETE":
            self.rows.pop(envelope["id"], None)
        else:
            self.rows[envelope["id"]] = envelope["data"]
        self._reached(envelope["cursor"])

    def _reached(self, cursor: str) -> None:
        if self.keeps_all:
            self.shown.append((Cursor.parse(cursor).position, dict(self.rows)))

    def named(self, name: str) -> list[dict[str, Any]]:
        return [payload for each, payload in self.told if each == name]

    async def has(self, name: str, times: int = 1, seconds: float = 30) -> dict[str, Any]:
        """Return the payload of the last event of this name as soon as there are so many."""
        await until(lambda: len(self.named(name)) >= times, f"{times} × {name}", seconds)
        return self.named(name)[-1]

    async def ask(self, name: str, *args: Any) -> Any:
        """Send an event over Socket.IO, and return its acknowledgement."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        await self.sio.emit(name, args, callback=lambda *given: answer.set_result(given[0]))
        async with asyncio.timeout(HANGS):
            return await answer


@asynccontextmanager
async def following(
    url: str,
    transport: str,
    client: Follower,
    wanted: Mapping[str, str] | None = None,
    *,
    token: str | None = None,
    **more: str,
) -> AsyncIterator[None]:
    """Connect, and go on where the client is; ``more`` are parameters of the address."""
    if transport == "sse":
        headers = {**EVENTS, **({"Authorization": f"Bearer {token}"} if token else {})}
        async with _sse(url, client, {**(wanted or {}), **more}, headers):
            yield
    else:
        auth = {"filter": dict(wanted) if wanted else None, "token": token, "since": client.since or INSIDE}
        async with _socket(url, transport, client, {name: one for name, one in auth.items() if one is not None}):
            yield


@asynccontextmanager
async def _sse(url: str, client: Follower, query: Mapping[str, str], headers: Mapping[str, str]) -> AsyncIterator[None]:
    async def read(response: aiohttp.ClientResponse) -> None:
        name = last_id = ""
        with suppress(aiohttp.ClientPayloadError):
            async for line in response.content:
                if line.startswith(b"event: "):
                    name = line[7:].strip().decode()
                elif line.startswith(b"id: "):
                    last_id = line[4:].strip().decode()
                elif line.startswith(b"data: "):
                    client.take(name, json.loads(line[6:]))
                    if client.since != last_id:
                        client.faults.append(f"the id {last_id!r} is not the cursor {client.since!r}")
                elif not line.strip() and last_id:
                    client.since = last_id  # as EventSource does, also by a mark

    back = {"Last-Event-ID": client.since} if client.since else {}
    async with (
        aiohttp.ClientSession(timeout=UNLIMITED, read_bufsize=1 << 22) as session,
        session.get(f"{url}/api/orders", params=query, headers={**headers, **back}) as response,
    ):
        assert response.status == 200, await response.text()
        assert response.content_type == "text/event-stream"
        async with meanwhile(read(response)):
            yield


@asynccontextmanager
async def _socket(url: str, transport: str, client: Follower, auth: Mapping[str, Any]) -> AsyncIterator[None]:
    sio = socketio.AsyncClient(
        reconnection=False, request_timeout=HANGS, websocket_extra_options={"max_msg_size": 1 << 25}
    )
    is_over = False

    def take(name: str, *args: Any) -> None:
        if not is_over:  # as if what was on its way were lost
            client.take(name, args[0])

    sio.on("*", take)
    client.sio = sio
    await sio.connect(url, auth=dict(auth), transports=[transport], wait_timeout=HANGS)
    try:
        yield
    finally:
        is_over = True
        await sio.shutdown()
