"""A Socket.IO client over a bare websocket."""

from tests.faults.viewers.link import Link, LinkedViewer
from tests.faults.viewers.socketio import SocketIOViewer
from tests.unit.websocket_client import handshake


class WebSocketViewer(LinkedViewer, SocketIOViewer):
    """A websocket, and Socket.IO on it."""

    kind = "websocket"

    def link(self) -> Link:
        return _Link(self)

    def send(self, packet: str) -> None:
        if isinstance(self._link, _Link):
            self._link.send(1, packet.encode())


class _Link(Link):
    status = 101

    def __init__(self, viewer: WebSocketViewer) -> None:
        super().__init__()
        self._viewer = viewer

    def request(self) -> bytes:
        return handshake()

    def take(self) -> None:
        at = 0
        while (frame := _frame(self.buffer, at)) is not None:
            opcode, payload, at = frame
            self._frame(opcode, payload)
        del self.buffer[:at]

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
