"""The handshake of a client in each protocol, before the events come: pure bytes in, bytes out."""

import re
from typing import Protocol

PONG = b"\x81\x81\0\0\0\x003"  # Engine.IO's, as a client's websocket frame


class Greeting(Protocol):
    """A handshake.

    ``pid`` is the session id from the server, if it gives any; ``early`` are events that came before the greeting was
    over, which is how Socket.IO's own recovery sends missed events.
    """

    pid: str
    early: bytes

    def request(self) -> bytes:
        """Return the client's first bytes."""

    def answer(self, received: bytearray) -> bytes | None:
        """Take complete messages out of ``received``; return what to send, or None once events may come."""


_UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def masked(text: bytes) -> bytes:
    """Return a client's text frame; a mask of zeros is a mask."""
    length = bytes((0x80 | len(text),)) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2, "big")
    return b"\x81" + length + b"\0\0\0\0" + text


def take_frame(received: bytearray) -> bytes | None:
    """Take one frame of the server out of ``received`` and return its payload, None if it is incomplete."""
    if len(received) < 2:
        return None
    length, start = received[1], 2
    if length == 126:
        length, start = int.from_bytes(received[2:4], "big"), 4
    elif length == 127:
        length, start = int.from_bytes(received[2:10], "big"), 10
    if len(received) < start + length:
        return None
    payload = bytes(received[start : start + length])
    del received[: start + length]
    return payload


class SocketIo:
    """Socket.IO over a websocket; ``connected`` where the server greets with an event of that name."""

    def __init__(self, auth: bytes = b"", *, connected: bool = False) -> None:
        self._auth = auth
        self._connected = connected
        self._upgraded = False
        self.pid = ""
        self.early = b""

    def request(self) -> bytes:
        return _UPGRADE.format(path="/socket.io/?EIO=4&transport=websocket").encode()

    def answer(self, received: bytearray) -> bytes | None:
        if not self._upgraded:
            self._upgraded = take_head(received, b"101")
            return b""
        whole = bytes(received)
        packet = take_frame(received)
        if packet is None:
            return b""
        if packet.startswith(b'42["orderUpdate"'):
            self.early += whole[: len(whole) - len(received)]
        if packet.startswith(b"0{"):
            return masked(b"40" + self._auth)
        if packet.startswith(b"40{"):
            if pid := re.search(rb'"pid":"([^"]+)"', packet):
                self.pid = pid[1].decode()
            return b"" if self._connected else None
        if packet.startswith(b'42["connected"'):
            return None
        return PONG if packet == b"2" else b""


class ServerSentEvents:
    """Server-Sent Events over HTTP/1.1."""

    pid = ""
    early = b""

    def __init__(self, path: str = "/api/orders/events") -> None:
        self._path = path
        self._answered = False

    def request(self) -> bytes:
        return f"GET {self._path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n".encode()

    def answer(self, received: bytearray) -> bytes | None:
        if not self._answered:
            self._answered = take_head(received, b"200")
            return b""
        found = received.find(b"\n\n\r\n", received.find(b"event: connected"))
        if found < 0 or b"event: connected" not in received:
            return b""
        del received[: found + 4]
        return None


class Bare:
    """A websocket without any protocol on it, on a connection that was used before.

    nginx turns Nagle's algorithm off only for a connection that it keeps alive after a first answer, whatever its
    settings say; otherwise it holds events back, to send them together.
    """

    pid = ""
    early = b""

    def __init__(self, path: str) -> None:
        self._path = path
        self._asked = False

    def request(self) -> bytes:
        return b"HEAD /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

    def answer(self, received: bytearray) -> bytes | None:
        if not self._asked:
            self._asked = take_head(received, b"200")
            return _UPGRADE.format(path=self._path).encode() if self._asked else b""
        return None if take_head(received, b"101") else b""


def take_head(received: bytearray, status: bytes) -> bool:
    """Take an HTTP response's head out of ``received`` if it is complete; raise on another status."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = bytes(received[:end])
    if head[9:12] != status:
        raise RuntimeError(f"the server answered {head[:200]!r}")
    del received[: end + 4]
    return True
