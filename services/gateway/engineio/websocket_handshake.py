"""Makes a websocket of an HTTP request."""

import asyncio

from aiohttp import web

from services.gateway.edge.request import Request
from services.gateway.edge.takeover import TakenOver, take_over
from services.gateway.engineio.websocket_connection import WebSocketConnection
from services.gateway.wire.websocket import InvalidKey, accept_key, text_frame


class HandshakeRefused(Exception):
    """The request does not ask properly for a websocket."""


def is_upgrade(request: Request) -> bool:
    """Whether the request asks for a websocket at all."""
    return "websocket" in request.headers.get("Upgrade", "").lower()


def accept_key_of(request: Request) -> str:
    """Return the answer to the request's key; raises `HandshakeRefused` for anything but RFC 6455, section 4.2.1."""
    headers = request.headers
    tokens = [token.strip().lower() for token in headers.get("Connection", "").split(",")]
    if request.method != "GET" or "upgrade" not in tokens or request.version < (1, 1):
        raise HandshakeRefused("Not a websocket handshake")
    if headers.get("Sec-WebSocket-Version") != "13":
        raise HandshakeRefused("Websocket version is not 13")
    try:
        return accept_key(headers.get("Sec-WebSocket-Key", ""))
    except InvalidKey as error:
        raise HandshakeRefused("Invalid Sec-WebSocket-Key") from error


def switch(request: web.BaseRequest, key: str, connection: WebSocketConnection, *first: bytes) -> TakenOver | None:
    """Answer 101, and the `first` packets with it, and let `connection` have the transport.

    None where the client has already gone.
    """
    transport = take_over(request, connection)
    if transport is None:
        return None
    answer(transport, key, *first)
    return TakenOver(101)


def answer(transport: asyncio.Transport, key: str, *first: bytes) -> None:
    """Answer 101, and the `first` packets with it."""
    transport.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + key.encode() + b"\r\n\r\n" + b"".join(map(text_frame, first))
    )
