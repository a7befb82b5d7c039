"""Notices at once that a client has gone while its request waits for the response."""

import asyncio
from collections.abc import Callable

from aiohttp import web


class ConnectionWatch(asyncio.Protocol):
    """Sits between a transport and aiohttp, and forwards everything; calls ``lost`` when the client disconnects.

    aiohttp itself notifies its handlers only by cancelling them, and only if that is enabled for the whole application.
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
        """Forward the client's data."""
        self._protocol.data_received(data)

    def eof_received(self) -> None:
        """Forward the end of the client's data; the transport then closes itself."""
        self._protocol.eof_received()

    def pause_writing(self) -> None:
        """Forward it."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Forward it."""
        self._protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Notify both."""
        self._protocol.connection_lost(exc)
        self._lost()
