"""Clients that do not behave, byte by byte: plain sockets, and what is sent over them."""

import socket
from collections.abc import Iterable

from tests.unit.websocket_client import TEXT, frame, handshake

WEBSOCKET = handshake()


def sse(query: str = "") -> bytes:
    """Return the request that opens a stream."""
    return f"GET /api/orders/events{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def connect_packet(payload: str = "") -> bytes:
    """Return the frame that joins the orders."""
    return frame(TEXT, f"40{payload}".encode())


def opened(port: int, first: Iterable[bytes], *, receive_buffer: int | None = 4096) -> socket.socket:
    """Connect and send these, and read nothing; with so small a buffer the kernel takes little in our name."""
    client = socket.socket()
    if receive_buffer is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.connect(("127.0.0.1", port))
    for data in first:
        client.sendall(data)
    client.setblocking(False)
    return client
