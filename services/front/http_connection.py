"""Lets aiohttp serve a connection, and closes it if a request does not arrive completely in time.

aiohttp has no such deadline: it waits without end for a head that arrives at one byte a second.
"""

import asyncio

from aiohttp import web
from aiohttp.web_protocol import _ErrInfo

from services.front.answered_errors import AnsweredErrors
from services.front.connections import ConnectionRefusal, Slot
from services.front.handover import SlotHolder

_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class HttpConnection(SlotHolder, AnsweredErrors):
    """aiohttp's own protocol with a slot among the connections.

    Checked against aiohttp 3.14: a request whose head is complete is in `_messages` when `data_received` returns, or an
    `_ErrInfo` instead of a malformed one; `_waiter` is set while the connection waits for the next request.
    """

    __slots__ = ("_is_unreadable", "_slot")

    def __init__(self, server: web.Server, slot: Slot) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **server._kwargs)  # noqa: SLF001
        self._slot: Slot | None = slot
        self._is_unreadable = False
        slot.connection = self

    def data_received(self, data: bytes) -> None:
        """Read on, and check whether a request is complete, or has begun and needs a deadline."""
        if self._is_unreadable:
            return  # the response closes the connection; aiohttp would report an error for each further piece
        super().data_received(data)
        if self._messages and isinstance(broken := self._messages[-1][0], _ErrInfo):
            self._is_unreadable = True
            # Its traceback refers to a frame that refers to it, and to 64 KiB of malformed input. Such a cycle stays in
            # memory until the garbage collector runs, which is seldom (`tune_gc`); a client can make hundreds a second.
            broken.exc.__traceback__ = broken.exc.__context__ = None
        if self._slot is None:
            return
        if self._messages:
            self._slot.request_complete()
        elif self._waiter is not None:
            self._slot.request_begun()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Free the slot."""
        super().connection_lost(exc)
        if self._slot is not None:
            self._slot.release()
            self._slot = None

    @property
    def is_idle(self) -> bool:
        """Whether it waits for the next request."""
        return self._waiter is not None and not self._messages

    def overdue(self) -> ConnectionRefusal:
        """Respond that the request took too long, and close."""
        if self.transport is not None:
            self.transport.write(_TOO_SLOW)
        self.force_close()
        return ConnectionRefusal.HEAD_TOO_SLOW

    def evict(self) -> None:
        """Close it at once, even with unsent data."""
        transport = self.transport
        self._slot = None
        self.force_close()
        if transport is not None:
            transport.abort()
