"""Turns a plain handshake into a websocket at once, without an HTTP parser."""

import asyncio
from collections.abc import Callable

from services.front.front import Open
from services.gateway.wire.handshake import Handshake, parse_handshake


def websocket_fast_path(open: Callable[[Handshake, asyncio.Transport], bool]) -> Open:
    """Return the hook that a `Front` calls first; ``open`` hands the connection to a websocket, or returns False."""

    def from_first_bytes(data: bytes, peer: str, transport: asyncio.Transport) -> bool:
        handshake = parse_handshake(data, peer)
        return handshake is not None and open(handshake, transport)

    return from_first_bytes
