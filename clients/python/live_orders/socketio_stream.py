"""One connection over Socket.IO, by python-socketio: by a websocket or by long-polling."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any

import aiohttp

from live_orders.errors import AccessEnded, LiveOrdersError, Refused
from live_orders.server import Server, Unavailable
from live_orders.stream import Connect, StreamEvent, Target
from live_orders.transport_choice import Transport

_EVENTS = ("connected", "snapshot", "live", "orderUpdate", "resync", "status", "mark", "expiring", "ended")
_REFUSALS = re.compile(r"token_|ticket_|scope_|foreign_page")
_GREETING = 10.0  # seconds; a connection without a greeting after that is dead
_LEAVING = 2.0  # seconds; over polling it takes a request, which may never be answered
_MOST_WAITING = 20_000  # events that nobody has taken yet; more end the connection, and the next one goes on


class _Connection:
    """The events of one connection in their order, and why it has ended."""

    def __init__(self, client: Any) -> None:
        self._waiting: deque[StreamEvent] = deque()
        self._news = asyncio.Event()
        self.is_over = False
        self.why = "the connection was lost"
        self.details: dict[str, Any] = {}
        self._deadline = asyncio.get_running_loop().call_later(_GREETING, self.end, "the server did not answer in time")
        for name in _EVENTS:
            client.on(name, partial(self._put, name))
        client.on("connect_error", self._refused)
        client.on("disconnect", lambda *_: self.end())

    def _put(self, name: str, told: Any, *_: object) -> None:
        if name == "connected":
            self._deadline.cancel()
        if not self.is_over:
            self._waiting.append(StreamEvent(name, told, told.get("cursor")))
            self._news.set()
            if len(self._waiting) > _MOST_WAITING:
                self.end("too many changes are waiting")

    def _refused(self, told: object) -> None:
        message = told.get("message") if isinstance(told, dict) else told
        details = told.get("data") if isinstance(told, dict) else None
        self.details = details if isinstance(details, dict) else {}
        self.end(str(message))

    def end(self, why: str | None = None) -> None:
        """Give no more events than have come."""
        self._deadline.cancel()
        self.is_over = True
        self.why = why or self.why
        self._news.set()

    def error(self) -> Exception:
        """Return what the end means."""
        if _REFUSALS.match(self.why):
            return AccessEnded(self.why)
        if "field" in self.details:
            field, message = self.details["field"], self.details["message"]
            return Refused(422, {"detail": f"{field}: {message}", "errors": [{"field": field, "message": message}]})
        return Unavailable(self.why, float(self.details.get("retry_after", 0)))

    async def events(self) -> AsyncGenerator[StreamEvent, None]:
        """Return them, until it has ended."""
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if self.is_over:
                return
            self._news.clear()
            await self._news.wait()


class _Broken(aiohttp.ClientConnectionError):
    """A request broke off, and is not repeated."""


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send a request once, and receive its whole answer.

    aiohttp repeats a GET whose connection breaks. A poll must not be: its answer was lost with the changes in it, and
    the next answer has the later ones. Where an answer breaks off, python-socketio would notice nothing, and wait.
    """
    try:
        response = await send(request)
        if response.status != HTTPStatus.SWITCHING_PROTOCOLS:
            await response.read()
        return response
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _Broken(str(error)) from error


def over_socketio(server: Server, transport: Transport) -> Connect:
    """Return what connects over Socket.IO by this transport."""
    try:
        import socketio  # noqa: PLC0415 - optional
    except ImportError as error:
        raise LiveOrdersError(f"{transport} needs python-socketio: pip install live-orders[socketio]") from error

    async def connect(target: Target, since: str | None) -> AsyncGenerator[StreamEvent, None]:
        is_new = not server.has_token
        auth = _auth(target, since, await server.token())
        async with aiohttp.ClientSession(middlewares=(_once,)) as session:
            # Our own loop connects again: what it has received last is then known to the server.
            client = socketio.AsyncClient(reconnection=False, http_session=session)
            connection = _Connection(client)
            try:
                # It tells of no break that comes before the greeting: then its task that reads is all that ends.
                await client.connect(server.url, auth=auth, transports=[str(transport)], wait=False)
                client.eio.read_loop_task.add_done_callback(lambda _: connection.end())
                async for event in connection.events():
                    yield event
            except socketio.exceptions.ConnectionError as error:
                connection.end(None if connection.is_over else str(error))
            finally:
                connection.end()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LEAVING):
                        await client.disconnect()
        if is_new or not server.can_renew or not _REFUSALS.match(connection.why):
            raise connection.error()
        await server.renew()
        async for event in connect(target, since):
            yield event

    return connect


def _auth(target: Target, since: str | None, token: str | None) -> dict[str, Any]:
    wanted = {field: [*values] for field, values in target.wanted.items()}
    every = {"since": since, "filter": wanted or None, "token": token}
    return {name: value for name, value in every.items() if value is not None}
