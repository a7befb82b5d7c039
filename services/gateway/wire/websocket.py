"""Builds the frames that a server sends over a websocket (RFC 6455), without extensions.

`permessage-deflate` is left out on purpose: it costs 64 KiB per connection, and makes decompression bombs possible.
"""

import binascii
import hashlib
from enum import IntEnum
from functools import partial
from struct import Struct

_ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_U16 = Struct("!H")
_U64 = Struct("!Q")

_FIN = 0x80
CONTROL_PAYLOAD_LIMIT = 125


class Opcode(IntEnum):
    """The type of a frame."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class CloseCode(IntEnum):
    """Why a websocket is closed (RFC 6455, section 7.4.1)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    INVALID_TEXT = 1007
    POLICY = 1008
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011


class InvalidKey(ValueError):
    """A `Sec-WebSocket-Key` that is not 16 bytes in base64."""


def accept_key(key: str) -> str:
    """Return the `Sec-WebSocket-Accept` that answers the key."""
    try:
        if len(binascii.a2b_base64(key, strict_mode=True)) != 16:
            raise InvalidKey(key)
    except ValueError as error:
        raise InvalidKey(key) from error
    digest = hashlib.sha1(key.encode() + _ACCEPT_GUID, usedforsecurity=False).digest()
    return binascii.b2a_base64(digest, newline=False).decode()


def binary_frame(payload: bytes) -> bytes:
    """Return a complete binary frame."""
    return _frame(Opcode.BINARY, payload)


def pong_frame(payload: bytes) -> bytes:
    """Return the answer to a ping."""
    return _frame(Opcode.PONG, payload)


def close_frame(code: int | None = None, reason: str = "") -> bytes:
    """Return a close frame; the reason is truncated to the size of a control frame."""
    if code is None:
        return _frame(Opcode.CLOSE, b"")
    text = reason.encode()[: CONTROL_PAYLOAD_LIMIT - 2].decode(errors="ignore")
    return _frame(Opcode.CLOSE, _U16.pack(code) + text.encode())


def _frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((_FIN | opcode, size)) + payload
    if size < 65_536:
        return bytes((_FIN | opcode, 126)) + _U16.pack(size) + payload
    return bytes((_FIN | opcode, 127)) + _U64.pack(size) + payload


text_frame = partial(_frame, Opcode.TEXT)
"""Return a complete text frame; the payload is UTF-8. Not a function of its own: each connect needs three frames."""
