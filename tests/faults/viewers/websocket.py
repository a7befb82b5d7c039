"""A Socket.IO client over a bare websocket."""

import asyncio
import base64
import os
from urllib.parse import urlsplit

from tests.faults.viewers.socketio import SocketIOViewer
from tests.faults.viewers.viewer import LinkLost

_PATH = "/socket.io/?EIO=4&transport=websocket"
_CONNECT_SECONDS = 10.0


class WebSocketViewer(SocketIOViewer):
    """Costs one asyncio transport and no task while it listens."""

    kind = "websocket"
    _link: "_Link | None" = None

    @property
    def quiet_since(self) -> float:
        return float("inf") if self._link is None else self._link.heard

    async def listen(self, gateway: str) -> None:
        loop = asyncio.get_running_loop()
        url = urlsplit(gateway)
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, link = await loop.create_connection(lambda: _Link(self), url.hostname or "", url.port or 80)
        self._link = link
        try:
            await link.lost
        finally:
            self._link = None
            link.transport.abort()

    def drop(self) -> None:
        if self._link is not None:
            self._link.transport.abort()

    def send(self, packet: str) -> None:
        if self._link is not None:
            self._link.send(1, packet.encode())


class _Link(asyncio.Protocol):
    def __init__(self, viewer: WebSocketViewer) -> None:
        loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = loop.create_future()
        self.heard = loop.time()
        self._time = loop.time
        self._viewer = viewer
        self._buffer = bytearray()
        self._open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET {_PATH} HTTP/1.1\r\nHost: audit\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def connection_lost(self, _: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)

    def data_received(self, data: bytes) -> None:
        self.heard = self._time()
        self._buffer += data
        if not self._open:
            head, blank, rest = bytes(self._buffer).partition(b"\r\n\r\n")
            if not blank:
                return
            if b" 101 " not in head.split(b"\r\n")[0]:
                self._end(LinkLost(head.decode(errors="replace")[:80]))
                return
            self._open, self._buffer = True, bytearray(rest)
        at = 0
        while (frame := _frame(self._buffer, at)) is not None:
            opcode, payload, at = frame
            self._frame(opcode, payload)
        del self._buffer[:at]

    def _frame(self, opcode: int, payload: bytes) -> None:
        match opcode:
            case 1:
                self._viewer.take(payload)
            case 8:
                self.transport.abort()
            case 9:
                self.send(10, payload)
            case _:
                self._viewer.complain(f"frame with opcode {opcode}")

    def _end(self, error: LinkLost) -> None:
        if not self.lost.done():
            self.lost.set_exception(error)
        self.transport.abort()

    def send(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        # A mask of zeros is a legal mask, and leaves the payload as it is.
        self.transport.write(bytes([0x80 | opcode]) + length + b"\0\0\0\0" + payload)


def _frame(buffer: bytearray, at: int) -> tuple[int, bytes, int] | None:
    """Return opcode, payload and the end of the frame that begins at ``at``; None where it is not all there."""
    have = len(buffer) - at
    if have < 2:
        return None
    size, head = buffer[at + 1], 2
    if size >= 126:
        head = 4 if size == 126 else 10
        if have < head:
            return None
        size = int.from_bytes(buffer[at + 2 : at + head], "big")
    if have < head + size:
        return None
    return buffer[at] & 15, bytes(buffer[at + head : at + head + size]), at + head + size
