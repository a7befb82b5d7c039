"""Encodes and decodes the packets of Engine.IO, protocol version 4."""

import base64
import binascii
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from services.gateway.wire import strict_json

PROTOCOL = "4"
SEPARATOR = b"\x1e"


class EnginePacketType(StrEnum):
    """The first character of a packet."""

    OPEN = "0"
    CLOSE = "1"
    PING = "2"
    PONG = "3"
    MESSAGE = "4"
    UPGRADE = "5"
    NOOP = "6"


_TYPES = {str(member): member for member in EnginePacketType}


class EnginePacket(NamedTuple):
    """A received packet; bytes for a binary message, else text."""

    type: EnginePacketType
    data: str | bytes = ""


class MalformedEnginePacket(ValueError):
    """The text is not a packet."""


def parse_packet(data: str | bytes) -> EnginePacket:
    """Parse one websocket message, or one part of a payload."""
    if isinstance(data, bytes):
        return EnginePacket(EnginePacketType.MESSAGE, data)
    if data[:1] == "b":
        try:
            return EnginePacket(EnginePacketType.MESSAGE, base64.b64decode(data[1:], validate=True))
        except (binascii.Error, ValueError) as error:
            raise MalformedEnginePacket("not base64") from error
    kind = _TYPES.get(data[:1])
    if kind is None:
        raise MalformedEnginePacket("unknown packet type")
    return EnginePacket(kind, data[1:])


def split_payload(body: bytes) -> Iterator[str]:
    """Yield the packets in the body of a POST lazily, still encoded."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise MalformedEnginePacket("payload is not UTF-8") from error
    at = 0
    while (end := text.find("\x1e", at)) >= 0:
        yield text[at:end]
        at = end + 1
    yield text[at:]


def base64_packet(data: bytes) -> bytes:
    """Return a binary message as text, for carriers that only take text."""
    return b"b" + base64.b64encode(data)


def binary_of(packet: bytes) -> bytes | None:
    """Decode a `base64_packet`; None for any other packet."""
    return base64.b64decode(packet[1:]) if packet.startswith(b"b") else None


def open_packet(sid: str, *, upgrades: list[str], ping_interval: float, ping_timeout: float, max_payload: int) -> bytes:
    """Return the handshake; both times in seconds."""
    handshake = {
        "sid": sid,
        "upgrades": upgrades,
        "pingInterval": round(ping_interval * 1000),
        "pingTimeout": round(ping_timeout * 1000),
        "maxPayload": max_payload,
    }
    return b"0" + strict_json.dumps(handshake)
