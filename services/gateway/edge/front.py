"""Meets each new connection: one that asks for a websocket gets it at once, every other one is aiohttp's.

To have aiohttp make a task, a parser, a request and a response, only to take the connection away from it, is half of
what it costs to connect; and after a restart thousands come at once.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

from services.gateway.edge.deadlines import Deadlines, Entry
from services.gateway.edge.takeover import give
from services.gateway.wire.handshake import Handshake, parse_handshake

Open = Callable[[Handshake, asyncio.Transport], bool]


class Front:
    """``serve`` makes aiohttp's protocol for a connection; ``open`` gives it to a websocket, or returns False."""

    def __init__(self, serve: Callable[[], asyncio.Protocol], open: Open, silence: float) -> None:
        self.silent: Deadlines[PendingConnection] = Deadlines(silence, PendingConnection.abort)
        self._serve = serve
        self._open = open

    @asynccontextmanager
    async def listening(self, host: str, port: int) -> AsyncIterator[int]:
        """Accept connections meanwhile; give the port."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: PendingConnection(self), host, port, backlog=4096)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for newcomer in self.silent.pending:
                newcomer.abort()
            self.silent.close()

    def dispatch(self, data: bytes, transport: asyncio.Transport) -> None:
        """Pass a connection on by the first that its client has said."""
        peer = transport.get_extra_info("peername")
        handshake = parse_handshake(data, peer[0] if isinstance(peer, tuple) else "")
        if handshake is None or not self._open(handshake, transport):
            protocol = self._serve()
            give(transport, protocol)
            protocol.data_received(data)


class PendingConnection(asyncio.Protocol):
    """A connection whose client has said nothing yet; if that lasts, it is cut."""

    __slots__ = ("_entry", "_front", "_transport")

    def __init__(self, front: Front) -> None:
        self._front = front

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the client to speak."""
        self._transport = cast("asyncio.Transport", transport)
        self._entry: Entry[PendingConnection] = self._front.silent.add(self)

    def data_received(self, data: bytes) -> None:
        """Pass the connection on."""
        self._entry.cancel()
        self._front.dispatch(data, self._transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Wait no longer."""
        self._entry.cancel()

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()
