"""Serves Socket.IO 5 to stock clients, over websocket and long-polling. Read this first.

    class Chat(Namespace[None]):
        def event(self, socket, name, args, ack):
            socket.emit("said", *args)
            if ack is not None:
                ack("heard")

    server = SocketServer({"/": Chat()}, EngineSettings(ping_interval=25.0), count=incidents.inc)
    server.attach(app, "/socket.io/")
    ...
    await server.close(spread=10.0)  # readiness has failed before; clients reconnect elsewhere

`Namespace` has `connect` (admit or refuse, before the CONNECT reply), `started`, `event`, `disconnected`; `Socket`
has `sid`, `address`, `state` (the application's), `emit`, `disconnect` (stays away), `close` (comes back).

For fan-out, where thousands get the same event, nothing above runs per event. Encode once per `Form`:

    data = event.encode_for_sockets(form, b'"orderUpdate"', envelope, cursor)   # a frame, or a packet of a payload

and write it to each socket that has this `form` and is `writable`: `socket.write_encoded(data)`. To send several
messages in one write, join them with `event.SEPARATOR[form]`. So does `gateway/group.py` with the orders.

A `Flow` set as `socket.flow` gets `paused()` and `resumed()`. A websocket is paused while it has bytes that the kernel
did not take. Polling is paused except while a GET is held: each GET resumes it, and all messages written before the
loop runs again go into one response. An upgrade pauses, and resumes with the other form. Serve paused sockets later,
from the log. Set `flow` in `connect` or `started`, and check `writable` then: there is no initial call.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from services.common.deadlines import Deadlines
from services.common.fair_turns import FairTurns
from services.gateway.edge.entrance import Entrance
from services.gateway.edge.failures import Failures
from services.gateway.edge.fair_share import FairShare
from services.gateway.edge.incidents import Count, IncidentKind, count_nothing
from services.gateway.edge.registry import Registry
from services.gateway.edge.unsent import Unsent
from services.gateway.engineio.server import EngineServer
from services.gateway.engineio.session import Session
from services.gateway.engineio.settings import EngineSettings
from services.gateway.socketio.connection import SocketConnection
from services.gateway.socketio.namespace import Ack, ConnectionRefused, Extra, Namespace
from services.gateway.socketio.socket import Flow, Socket
from services.gateway.wire.handshake import Handshake

__all__ = [
    "Ack",
    "ConnectionRefused",
    "EngineSettings",
    "Extra",
    "Flow",
    "IncidentKind",
    "Namespace",
    "Socket",
    "SocketServer",
]


class SocketServer:
    """Serves the given namespaces; `count` is called with each `IncidentKind`; the other arguments may be shared."""

    def __init__(
        self,
        namespaces: Mapping[str, Namespace[Any]],
        settings: EngineSettings | None = None,
        count: Count = count_nothing,
        registry: Registry | None = None,
        entrance: Entrance | None = None,
        unsent: Unsent | None = None,
        turns: FairTurns | None = None,
        share: FairShare | None = None,
    ) -> None:
        settings = settings or EngineSettings()
        self._namespaces = dict(namespaces)
        self._connect_due: Deadlines[SocketConnection] = Deadlines(settings.connect_timeout, SocketConnection.overdue)
        self._failures = Failures("A Socket.IO handler failed", count)
        self._engine = EngineServer(self._accept, settings, count, registry, entrance, unsent, turns, share)

    def __len__(self) -> int:
        """The number of connections."""
        return len(self._engine.sessions)

    def attach(self, app: web.Application, path: str = "/socket.io/") -> None:
        """Serve at `path`."""
        self._engine.attach(app, path)

    def open(self, request: Handshake, transport: asyncio.Transport) -> bool:
        """Open a connection over a websocket for a valid request, or return False; see `EngineServer.open`."""
        return self._engine.open(request, transport)

    async def close(self, spread: float = 0.0, patience: float = 5.0) -> None:
        """Refuse new connections, close the open ones over `spread` seconds, and then wait up to `patience`."""
        await self._engine.close(spread, patience)
        self._connect_due.close()

    def _accept(self, session: Session) -> SocketConnection:
        return SocketConnection(session, self._namespaces, self._connect_due, self._failures.note)
