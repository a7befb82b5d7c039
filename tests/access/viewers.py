"""Clients of every transport that keep what they are shown."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import socketio

from tests.access.tokens import bearer
from tests.waiting import HANGS, cancel_all, until

TRANSPORTS = ("websocket", "polling", "sse")


@dataclass
class Viewer:
    """What one client was told: the names and payloads of all events, in order."""

    told: list[tuple[str, Any]] = field(default_factory=list)
    acks: list[Any] = field(default_factory=list)
    is_over: bool = False
    client: Any = None

    @property
    def updates(self) -> list[dict[str, Any]]:
        return self.named("orderUpdate")

    def named(self, name: str) -> list[Any]:
        return [payload for each, payload in self.told if each == name]

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.told]

    async def has(self, name: str, times: int = 1) -> Any:
        """Return the payload of the last one as soon as there are so many events of this name."""
        await until(lambda: len(self.named(name)) >= times, f"{times} × {name} of {self.names[-5:]}")
        return self.named(name)[-1]

    async def ask(self, name: str, *args: Any) -> Any:
        """Send an event over Socket.IO, and return its acknowledgement."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        await self.client.emit(name, args, callback=lambda *given: answer.set_result(given[0]))
        async with asyncio.timeout(HANGS):
            return await answer


@asynccontextmanager
async def viewer(
    url: str,
    transport: str,
    token: str | None,
    *,
    since: str | None = None,
    filter: Any = None,
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[Viewer]:
    """Connect a client over this transport; it is connected, and may be shown everything after ``since``."""
    if transport == "sse":
        query = {**({"since": since} if since else {}), **(filter or {})}
        async with sse(url, query, {**(headers or {}), **(bearer(token) if token else {})}) as shown:
            yield shown
    else:
        auth = {"token": token, "since": since, "filter": filter}
        given = {name: one for name, one in auth.items() if one is not None}
        async with socket(url, transport, given, headers) as shown:
            yield shown


async def here(url: str, token: str) -> str:
    """Return the cursor of now, as whoever has this token is told it."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{url}/api/orders?limit=1", headers=bearer(token)) as response,
    ):
        return response.headers["Stream-Cursor"]


@asynccontextmanager
async def sse(
    url: str, query: dict[str, str] | None = None, headers: dict[str, str] | None = None
) -> AsyncIterator[Viewer]:
    shown = Viewer()

    async def read(response: aiohttp.ClientResponse) -> None:
        name = ""
        with suppress(aiohttp.ClientPayloadError):
            async for line in response.content:
                if line.startswith(b"event: "):
                    name = line[7:].strip().decode()
                elif line.startswith(b"data: "):
                    shown.told.append((name, json.loads(line[6:])))
        shown.is_over = True

    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None), read_bufsize=1 << 20) as session,
        session.get(f"{url}/api/orders/events", params=query, headers=headers) as response,
    ):
        assert response.status == 200, await response.text()
        task = asyncio.create_task(read(response))
        try:
            await shown.has("connected")
            yield shown
        finally:
            await cancel_all(task)


@asynccontextmanager
async def socket(
    url: str, transport: str = "websocket", auth: dict[str, Any] | None = None, headers: Mapping[str, str] | None = None
) -> AsyncIterator[Viewer]:
    """Connect the stock client; raise socketio.exceptions.ConnectionError where it is refused."""
    client = socketio.AsyncClient(reconnection=False, request_timeout=HANGS)
    shown = Viewer(client=client)
    client.on("*", lambda name, *args: shown.told.append((name, args[0])))
    client.on("disconnect", lambda *_: setattr(shown, "is_over", True))
    try:
        await client.connect(url, {**(headers or {})}, auth or {}, transports=[transport], wait_timeout=HANGS)
        await shown.has("connected")
        yield shown
    finally:
        with suppress(Exception):
            await client.disconnect()
