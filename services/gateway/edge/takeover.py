"""Takes a connection away from aiohttp once its request has been understood.

An idle aiohttp connection costs a task, two coroutines, a parser and a request: more than 20 KiB, and a wake-up for
each thing that happens. After the takeover there is the transport and one small protocol object of ours.
"""

import asyncio
from collections.abc import Callable

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_protocol import RequestHandler

from services.front.handover import SlotHolder, Takeover, hand_over


class TakenOver(web.StreamResponse):
    """Answers nothing: what there was to say, the new owner of the connection has said."""

    def __init__(self, status: int) -> None:
        super().__init__(status=status)
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:  # noqa: ARG002
        """Write no headers."""
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Write no end."""


def take_over(request: web.BaseRequest, protocol: Takeover) -> asyncio.Transport | None:
    """Give the request's connection to `protocol`; return None where the client has already gone.

    Calls `connection_made` at once, and `data_received` with what came in behind the request as soon as the caller lets
    the loop run. The handler must return a `TakenOver`, and not have prepared another response.
    """
    handler = request.protocol
    transport = handler.transport
    if transport is None or transport.is_closing():
        return None
    slot = handler.release_to(protocol.state) if isinstance(handler, SlotHolder) else None
    tail = _release(handler)
    hand_over(transport, protocol, slot)
    if tail:
        transport.pause_reading()  # or what the loop reads next would overtake it
        asyncio.get_running_loop().call_soon(_deliver, transport, tail)
    else:
        transport.resume_reading()
    return transport


def _deliver(transport: asyncio.Transport, tail: bytes) -> None:
    protocol = transport.get_protocol()
    if not transport.is_closing() and isinstance(protocol, asyncio.Protocol):
        transport.resume_reading()  # before, so that the protocol may pause it again
        protocol.data_received(tail)


def _release(handler: RequestHandler) -> bytes:
    """Make aiohttp believe that the connection is lost, without closing it; return what it had read and not understood.

    Checked against aiohttp 3.14: without its transport, `connection_lost` leaves the server's set of connections,
    cancels the keep-alive timer and drops the parser, and the task ends after the response. The task is hidden from it
    because with `handler_cancellation` it would cancel the very request handler that we are called from.
    """
    tail: bytes = handler._message_tail  # noqa: SLF001
    handler._message_tail = b""  # noqa: SLF001
    handler._task_handler = None  # noqa: SLF001
    handler.transport = None
    handler.connection_lost(None)
    return tail


class ConnectionWatch(asyncio.Protocol):
    """Stands between a transport and aiohttp while a response is held back, to learn at once that the client has gone.

    aiohttp itself tells its handlers only by cancelling them, and only where the whole application asked for that.
    """

    __slots__ = ("_lost", "_protocol", "_transport")

    def __init__(self, request: web.BaseRequest, lost: Callable[[], None]) -> None:
        self._protocol = request.protocol
        self._transport = request.transport
        self._lost = lost

    def __enter__(self) -> None:
        if self._transport is None or self._transport.is_closing():
            self._transport = None
            asyncio.get_running_loop().call_soon(self._lost)
        else:
            self._transport.set_protocol(self)

    def __exit__(self, *_: object) -> None:
        if self._transport is not None and self._transport.get_protocol() is self:
            self._transport.set_protocol(self._protocol)

    def data_received(self, data: bytes) -> None:
        """Pass on what the client sends meanwhile."""
        self._protocol.data_received(data)

    def eof_received(self) -> None:
        """Pass on the end of what the client sends; the transport then closes itself."""
        self._protocol.eof_received()

    def pause_writing(self) -> None:
        """Pass on."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Pass on."""
        self._protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell both."""
        self._protocol.connection_lost(exc)
        self._lost()
