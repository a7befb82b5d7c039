"""Takes a connection over from aiohttp once its request has been parsed.

An idle aiohttp connection costs a task, two coroutines, a parser and a request: more than 20 KiB, and a task wake-up
per event. After the takeover only the transport and one small protocol object of ours remain.
"""

import asyncio

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_protocol import RequestHandler

from services.front.handover import SlotHolder, Successor, hand_over
from services.front.http_connection import HttpConnection


class AlreadyAnswered(web.StreamResponse):
    """Writes nothing: the new owner of the connection has already responded."""

    def __init__(self, status: int) -> None:
        super().__init__(status=status)
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:  # noqa: ARG002
        """Write nothing."""
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Write nothing."""


def take_over(request: web.BaseRequest, protocol: Successor) -> asyncio.Transport | None:
    """Give the request's connection to `protocol`; return None where the client has already gone.

    Calls `connection_made` at once, and `data_received` in the next turn of the loop, with the bytes that followed the
    request. The handler must then return `AlreadyAnswered`, even if it has sent the head of another response, as SSE
    does: aiohttp writes nothing more.
    """
    handler = request.protocol
    transport = handler.transport
    if transport is None or transport.is_closing():
        return None
    slot = handler.release_to(protocol.state) if isinstance(handler, SlotHolder) else None
    tail = _release(handler)
    hand_over(transport, protocol, slot)
    if tail:
        transport.pause_reading()  # or the next bytes that the loop reads would overtake these
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
    """Make aiohttp believe that the connection is lost, without closing it; return the bytes that it has not parsed.

    Checked against aiohttp 3.14: without its transport, `connection_lost` leaves the server's set of connections,
    cancels the keep-alive timer and drops the parser, and the task ends after the response. The task is hidden from it
    because with `handler_cancellation` it would cancel the very request handler that called us.
    """
    tail: bytes = handler._message_tail  # noqa: SLF001
    handler._message_tail = b""  # noqa: SLF001
    if isinstance(handler, HttpConnection):
        tail += handler.take_held()
    handler._task_handler = None  # noqa: SLF001
    handler.transport = None
    handler.connection_lost(None)
    return tail
