"""Encodes and decodes the packets of Socket.IO, protocol version 5."""

import re
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple, cast

from services.gateway.wire import strict_json

# An event with such a name would call the server's own handlers (or, in a browser, the client's).
RESERVED_EVENTS = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)

# Attachments are bytes at the positions of their placeholders.
Argument = None | bool | int | float | str | bytes | list["Argument"] | dict[str, "Argument"]


class SocketPacketType(IntEnum):
    """The first character of a packet."""

    CONNECT = 0
    DISCONNECT = 1
    EVENT = 2
    ACK = 3
    CONNECT_ERROR = 4
    BINARY_EVENT = 5
    BINARY_ACK = 6


_TYPES = {str(member.value): member for member in SocketPacketType}
_BINARY = (SocketPacketType.BINARY_EVENT, SocketPacketType.BINARY_ACK)


class SocketPacket(NamedTuple):
    """A received packet; with `attachments`, `attach` must complete it."""

    type: SocketPacketType
    namespace: str
    id: int | None
    data: Argument
    attachments: int = 0


class PacketLimits(NamedTuple):
    """Limits of a packet."""

    max_attachments: int = 10
    max_depth: int = 32


class MalformedSocketPacket(ValueError):
    """The text is not a packet, or one that must not be sent."""


# Type, attachments, namespace, id; the rest is JSON. Ids stay below 2^53, up to which JavaScript is exact.
_HEAD = re.compile(r"([0-6])(?:(?<=[56])([0-9]{1,6})-)?(?:(/[^,]*+),?)?([0-9]{1,15}+(?![0-9]))?")


def parse_packet(text: str, limits: PacketLimits) -> SocketPacket:
    """Parse one text message; raise `MalformedSocketPacket`."""
    head = _HEAD.match(text)
    if head is None:
        raise MalformedSocketPacket("unknown packet type")
    digit, number, namespace, event_id = head.groups()
    kind = _TYPES[digit]
    attachments = int(number or 0)
    if kind in _BINARY and not 1 <= attachments <= limits.max_attachments:
        raise MalformedSocketPacket("illegal number of attachments")
    data: Argument = None
    rest = text[head.end() :]
    if rest:
        try:
            data = cast("Argument", strict_json.loads(rest, max_depth=limits.max_depth))
        except strict_json.InvalidJSON as error:
            raise MalformedSocketPacket("invalid payload") from error
    _check_payload(kind, data, given=bool(rest))
    if attachments:
        _check_placeholders(data, attachments)
    return SocketPacket(kind, namespace or "/", int(event_id) if event_id else None, data, attachments)


def _check_payload(kind: SocketPacketType, data: Argument, *, given: bool) -> None:
    match kind:
        case SocketPacketType.CONNECT:
            valid = not given or isinstance(data, dict)
        case SocketPacketType.DISCONNECT:
            valid = not given
        case SocketPacketType.CONNECT_ERROR:
            valid = False  # only servers send it
        case SocketPacketType.EVENT | SocketPacketType.BINARY_EVENT:
            valid = isinstance(data, list) and len(data) > 0 and _is_event_name(data[0])
        case SocketPacketType.ACK | SocketPacketType.BINARY_ACK:
            valid = isinstance(data, list)
    if not valid:
        raise MalformedSocketPacket("invalid payload")


def _is_event_name(name: Argument) -> bool:
    if isinstance(name, str):
        return name not in RESERVED_EVENTS
    return isinstance(name, (int, float)) and not isinstance(name, bool)  # the reference allows numbers


def _check_placeholders(data: Argument, attachments: int) -> None:
    """Refuse an index out of range before waiting for attachments that can never fit."""
    if isinstance(data, dict):
        if data.get("_placeholder") is True:
            index = data.get("num")
            if type(index) is not int or not 0 <= index < attachments:
                raise MalformedSocketPacket("illegal placeholder")
        for value in data.values():
            _check_placeholders(value, attachments)
    elif isinstance(data, list):
        for value in data:
            _check_placeholders(value, attachments)


def attach(data: Argument, attachments: Sequence[bytes]) -> Argument:
    """Return `data` with each placeholder replaced by its attachment."""
    if isinstance(data, dict):
        if data.get("_placeholder") is True:
            return attachments[cast("int", data["num"])]  # parse_packet has checked it
        return {key: attach(value, attachments) for key, value in data.items()}
    if isinstance(data, list):
        return [attach(value, attachments) for value in data]
    return data


def connect_packet(namespace: str, sid: str, extra: Mapping[str, object] | None = None) -> bytes:
    """Return the reply that accepts a client."""
    return _prefix("0", namespace) + strict_json.dumps({"sid": sid, **(extra or {})})


def connect_error_packet(namespace: str, message: str, data: object = None) -> bytes:
    """Return the reply that refuses a client."""
    error = {"message": message} if data is None else {"message": message, "data": data}
    return _prefix("4", namespace) + strict_json.dumps(error)


def disconnect_packet(namespace: str) -> bytes:
    """Return the packet that disconnects a client from the namespace, after which it does not reconnect by itself."""
    return _prefix("1", namespace)


def event_packets(namespace: str, name: str, args: Sequence[object]) -> list[bytes]:
    """Return the text of an event, then its attachments: bytes anywhere in `args` are sent as they are."""
    if name in RESERVED_EVENTS:
        raise MalformedSocketPacket(f"{name!r} is reserved")
    return _packets("2", "5", namespace, "", [name, *args])


def encoded_event(*name_and_args: bytes) -> bytes:
    """Return the text of an event in the default namespace; its name and arguments are JSON already."""
    return b"2[" + b",".join(name_and_args) + b"]"


def ack_packets(namespace: str, id: int, args: Sequence[object]) -> list[bytes]:
    """Return the acknowledgement of event `id`, then its attachments."""
    return _packets("3", "6", namespace, str(id), list(args))


def _packets(text_type: str, binary_type: str, namespace: str, id: str, data: list[object]) -> list[bytes]:
    attachments: list[bytes] = []

    def placeholder(value: object) -> object:
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise TypeError(type(value).__name__)
        attachments.append(bytes(value))
        return {"_placeholder": True, "num": len(attachments) - 1}

    body = strict_json.dumps(data, placeholder)
    kind = f"{binary_type}{len(attachments)}-" if attachments else text_type
    return [_prefix(kind, namespace) + id.encode() + body, *attachments]


def _prefix(kind: str, namespace: str) -> bytes:
    return kind.encode() if namespace == "/" else f"{kind}{namespace},".encode()
