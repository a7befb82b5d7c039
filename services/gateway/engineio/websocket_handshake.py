"""Upgrades an HTTP request to a websocket."""

import asyncio
import re
from collections.abc import Mapping, Sequence

from aiohttp import web

from services.gateway.edge.request import Request
from services.gateway.edge.takeover import AlreadyAnswered, take_over
from services.gateway.engineio.websocket_connection import WebSocketConnection
from services.gateway.wire.websocket import InvalidKey, accept_key, text_frame

_SWITCHING = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
_TOKEN = re.compile(r"[0-9A-Za-z!#$%&'*+.^_`|~-]+", re.ASCII)  # RFC 9110, 5.6.2


class HandshakeRefused(Exception):
    """The request is not a valid websocket handshake; ``headers`` go into the response."""

    def __init__(self, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.headers = dict(headers or {})


def is_upgrade(request: Request) -> bool:
    """Tell whether the request asks for a websocket at all."""
    return "websocket" in request.headers.get("Upgrade", "").lower()


def response_head(request: Request) -> bytes:
    """Return the head of the 101 response; raise `HandshakeRefused` for anything but RFC 6455, section 4.2.1."""
    headers = request.headers
    tokens = [token.strip().lower() for token in headers.get("Connection", "").split(",")]
    if request.method != "GET" or "upgrade" not in tokens or request.version < (1, 1):
        raise HandshakeRefused("Not a websocket handshake")
    if headers.getall("Sec-WebSocket-Version", []) != ["13"]:
        # Section 4.4: a client that also speaks our version retries with it.
        raise HandshakeRefused("Websocket version is not 13", {"Sec-WebSocket-Version": "13"})
    try:
        head = _SWITCHING + f"Sec-WebSocket-Accept: {accept_key(headers.get('Sec-WebSocket-Key', ''))}\r\n"
    except InvalidKey as error:
        raise HandshakeRefused("Invalid Sec-WebSocket-Key") from error
    chosen = _subprotocol(headers.getall("Sec-WebSocket-Protocol", []))
    return (head if chosen is None else f"{head}Sec-WebSocket-Protocol: {chosen}\r\n").encode() + b"\r\n"


def _subprotocol(lines: Sequence[str]) -> str | None:
    """Return the first subprotocol that the client offers, as the reference server does, or None where there is none.

    Browsers fail the connection if they offered some and none is chosen. The choice does not affect the protocol.
    """
    if not lines:
        return None
    offered = [name.strip("\t ") for name in ",".join(lines).split(",")]
    if not all(map(_TOKEN.fullmatch, offered)) or len({*offered}) < len(offered):
        raise HandshakeRefused("Invalid Sec-WebSocket-Protocol header")
    return offered[0]


def switch_protocols(
    request: web.BaseRequest, head: bytes, connection: WebSocketConnection, *first: bytes
) -> AlreadyAnswered | None:
    """Answer 101 together with the `first` packets, and hand the transport to `connection`.

    None where the client has already gone.
    """
    transport = take_over(request, connection)
    if transport is None:
        return None
    write_response(transport, head, *first)
    return AlreadyAnswered(101)


def write_response(transport: asyncio.Transport, head: bytes, *first: bytes) -> None:
    """Write this 101 head together with the `first` packets."""
    transport.write(head + b"".join(map(text_frame, first)))
