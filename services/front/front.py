"""Meets each new connection: a plain websocket handshake is served at once, everything else by aiohttp.

For a websocket, aiohttp's task, parser, request and response are thrown away at once, and are half the cost of a
connect; after a restart thousands of clients connect together.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import cast

from aiohttp import web

from services.common.fair_turns import FairTurns
from services.common.tasks import Tasks
from services.front.answered_errors import problem_message
from services.front.connections import ConnectionRefusal, Connections, NoRoom, Slot
from services.front.descriptors import lowest_free
from services.front.handover import SlotHolder
from services.front.http_connection import HttpConnection, UnsentBytes
from services.front.listeners import listening_sockets
from services.front.refusals import Overload, Refusals

Open = Callable[[bytes, str, asyncio.Transport], bool]
"""Gets the first bytes and the address of the peer; gives the connection to a protocol of its own, or returns False."""

CountAs = Callable[[str], str | None]
"""Maps the address of a peer to the account that its connections count against; None for no limit of their own."""

DESCRIPTOR_CHECK_SECONDS = 1.0  # between two looks whether descriptors have run out

UNREAD_SECONDS = 60.0

# Bytes that the kernel buffers beyond those in flight to the client. By default it buffers up to 4 MB for a client that
# reads nothing: a thousand of these cost 4 GB that no limit of ours sees. Bytes in flight are not limited by this, so
# distant clients are not slowed down.
KERNEL_UNSENT = 131_072

# What an address pays for a connection, besides for what it asks: uvloop accepts and closes it without a turn, and that
# takes passes of the loop. One that opened stream after stream had half of the loop instead of a quarter.
CONNECTION_SECONDS = 0.0002

KEEPALIVE_SECONDS = 75.0  # of a connection that asks nothing; those of load balancers are shorter

_REFUSALS = {
    ConnectionRefusal.TOO_MANY_FROM_ADDRESS: (
        "429 Too Many Requests",
        "There are too many connections from this address.",
    ),
    ConnectionRefusal.TOO_MANY_CONNECTIONS: ("503 Service Unavailable", "There are too many connections."),
    ConnectionRefusal.OUT_OF_DESCRIPTORS: ("503 Service Unavailable", "There are too many connections."),
}
_RESPONSES = {
    refusal: (f"HTTP/1.1 {status}\r\nConnection: close\r\nRetry-After: 5\r\n".encode() + problem_message(status, text))
    for refusal, (status, text) in _REFUSALS.items()
}


def _take_none(_data: bytes, _peer: str, _transport: asyncio.Transport) -> bool:
    return False


class Front:
    """The way in to one port of a service.

    A connection whose client takes nothing of what it is sent for ``unread`` seconds is ended by the kernel: also one
    that was closed already, which nobody else would end, since its last bytes are still to be sent.
    """

    def __init__(
        self,
        server: web.Server,
        connections: Connections,
        open: Open = _take_none,
        count_as: CountAs = str,
        *,
        turns: FairTurns | None = None,
        unread: float = UNREAD_SECONDS,
        overload: Overload | None = None,
        unsent: UnsentBytes | None = None,
    ) -> None:
        self.connections = connections
        self.count_as = count_as
        self.turns = FairTurns() if turns is None else turns
        self.refusals = Refusals(self.turns, overload)
        self._server = server
        self._open = open
        self._unread = unread
        self._unsent = unsent

    @asynccontextmanager
    async def listening(self, host: str, port: int) -> AsyncIterator[int]:
        """Accept connections meanwhile, on every address that `host` names; give the port.

        Raise OSError when it is taken.
        """
        listeners = await listening_sockets(host, port)
        _set_options(listeners, self._unread)
        loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            stack.callback(self.connections.close)
            for listener in listeners:
                server = await loop.create_server(partial(PendingConnection, self), sock=listener, backlog=4096)
                stack.callback(server.close)
            tasks = await stack.enter_async_context(Tasks())
            tasks.keep("watching file descriptors", self._watch_descriptors(listeners[0].fileno()))
            yield listeners[0].getsockname()[1]

    async def _watch_descriptors(self, some: int) -> None:
        while True:
            await asyncio.sleep(DESCRIPTOR_CHECK_SECONDS)
            self.connections.evict_for_descriptors(lowest_free(some))

    def dispatch(self, slot: Slot, data: bytes, peer: str, account: str, transport: asyncio.Transport) -> None:
        """Choose who serves a connection, by its first bytes."""
        if self._open(data, peer, transport):
            return
        protocol = HttpConnection(self._server, slot, self.turns, account, self.refusals, self._unsent)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.read(data)


def _set_options(listeners: Iterable[socket.socket], unread: float) -> None:
    """Bound what the kernel keeps for a client that reads nothing: for how long, and how much.

    On Linux, what is set for a listener holds for the connections that it accepts; macOS has no such timeout.
    """
    options = {"TCP_USER_TIMEOUT": int(unread * 1000), "TCP_NOTSENT_LOWAT": KERNEL_UNSENT}
    for listener in listeners:
        with socket.socket(fileno=os.dup(listener.fileno())) as same:
            for name, value in options.items():
                if (option := getattr(socket, name, None)) is not None:
                    same.setsockopt(socket.IPPROTO_TCP, option, value)


class PendingConnection(SlotHolder, asyncio.Protocol):
    """A connection whose client has said nothing yet; if that lasts, it is cut."""

    __slots__ = ("_account", "_front", "_held", "_peer", "_since", "_slot", "_transport")

    def __init__(self, front: Front) -> None:
        self._front = front
        self._slot: Slot | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a slot, and wait for the client to speak."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if isinstance(peer, tuple) else ""
        descriptor = transport.get_extra_info("socket").fileno()
        self._held = b""
        front = self._front
        account = front.count_as(self._peer)
        # A trusted proxy carries many clients, so each of its connections has turns of its own.
        self._account = f"{self._peer} {descriptor}" if account is None else account
        front.turns.charge(self._account, CONNECTION_SECONDS)
        try:
            self._slot = front.connections.admit(self, account, descriptor)
        except NoRoom as lack:
            self._transport.write(_RESPONSES[lack.refusal])
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Pass the connection on when it is its client's turn, or refuse the request and wait for the next one."""
        turns, refusals = self._front.turns, self._front.refusals
        if refusals.is_due(self._account, data):
            refusals.refuse(self._account, self, data)
        elif not turns.run(self._account, self._pass_on, data):
            self.hold(data)
            turns.add(self._account, self._resume, self._transport)

    def hold(self, data: bytes) -> None:
        """Keep the first bytes until it is the client's turn."""
        self._transport.pause_reading()
        self._held, self._since = data, self._front.turns.worked()

    def _resume(self) -> None:
        if self._front.refusals.is_late(self._account, self._front.turns.worked() - self._since, self._held):
            self._front.refusals.now(self)
        elif not self._transport.is_closing():
            held, self._held = self._held, b""
            self._transport.resume_reading()
            self._pass_on(held)

    def refuse(self, answer: bytes) -> None:
        """Answer the request; the next one has as much time as the first."""
        self._held = b""
        if self._slot is not None and not self._transport.is_closing():
            self._slot.request_complete()
            self._slot.request_begun()
            self._transport.resume_reading()
            self._transport.write(answer)

    def _pass_on(self, data: bytes) -> None:
        if self._slot is not None:
            self._front.dispatch(self._slot, data, self._peer, self._account, self._transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Give the slot back."""
        if self._slot is not None:
            self._slot.release()
            self._slot = None

    @property
    def is_idle(self) -> bool:
        """Whether it holds no request."""
        return not self._held

    def overdue(self) -> ConnectionRefusal:
        """Cut it off."""
        self._transport.abort()
        return ConnectionRefusal.SILENT

    def evict(self) -> None:
        """Cut it off."""
        self._transport.abort()
