"""Builds what a websocket client sends, byte by byte and without the code under test."""

SOCKETIO = "/socket.io/?EIO=4&transport=websocket"
ENGINEIO = "/engine.io/?EIO=4&transport=websocket"
UPGRADE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def handshake(target: str = SOCKETIO, *, host: str = "localhost") -> bytes:
    """Return the request for a websocket."""
    return b"GET %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (target.encode(), host.encode(), UPGRADE)


def frame(opcode: int, payload: bytes, *, fin: bool = True, mask: bytes = b"\x37\xfa\x21\x3d", rsv: int = 0) -> bytes:
    """Return a masked frame."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    size = len(payload)
    if size < 126:
        header = bytes([first, 0x80 | size])
    elif size < 1 << 16:
        header = bytes([first, 0x80 | 126]) + size.to_bytes(2, "big")
    else:
        header = bytes([first, 0x80 | 127]) + size.to_bytes(8, "big")
    masks = (mask * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(masks, "big")
    return header + mask + masked.to_bytes(size, "big")


CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
