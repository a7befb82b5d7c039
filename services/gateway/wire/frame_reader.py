"""Turns the bytes that a websocket client sends into messages."""

from struct import Struct
from typing import NamedTuple

from services.gateway.wire.websocket import CONTROL_PAYLOAD_LIMIT, CloseCode, Opcode

_U16 = Struct("!H")
_U64 = Struct("!Q")
_FIN = 0x80
_RESERVED_BITS = 0x70
_MASKED = 0x80


class Ping(NamedTuple):
    """Asks for a `pong_frame` with the same payload."""

    payload: bytes


class Pong(NamedTuple):
    """Answers a ping; needs nothing."""

    payload: bytes


class Close(NamedTuple):
    """The peer will send nothing more; `code` is None where it gave none."""

    code: int | None
    reason: str


class Violation(NamedTuple):
    """The peer broke the protocol: close with `code`; nothing after it is read."""

    code: CloseCode
    reason: str


Message = str | bytes | Ping | Pong | Close | Violation


class _Header(NamedTuple):
    """The first bytes of a frame, understood; `start` is where its payload begins."""

    opcode: int
    fin: bool
    start: int
    size: int


class _Refused(Exception):
    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.violation = Violation(code, reason)


class FrameReader:
    """Parses incrementally; a message is at most `limit` bytes, however many frames it comes in.

    Between frames it holds nothing but its bound: an idle connection costs no buffer.
    """

    __slots__ = ("_dead", "_limit", "_message", "_message_opcode", "_needed", "_partial")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._partial: bytearray | None = None
        self._needed = 0  # bytes until the partial frame is worth looking at again
        self._message: bytearray | None = None
        self._message_opcode = 0
        self._dead = False

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that `data` completes; a `Violation` or `Close`, if any, is the last of all."""
        if self._dead:
            return []
        if self._partial is not None:
            self._partial += data
            if len(self._partial) < self._needed:
                return []
            data = bytes(self._partial)
            self._partial = None
        messages: list[Message] = []
        try:
            self._read(data, messages)
        except _Refused as refused:
            messages.append(refused.violation)
        if messages and isinstance(messages[-1], (Close, Violation)):
            self._dead = True
            self._partial = self._message = None
        return messages

    def _read(self, data: bytes, messages: list[Message]) -> None:
        at = 0
        end = len(data)
        while at < end:
            header = self._header(data, at)
            if header is None or header.start + header.size > end:
                self._partial = bytearray(data[at:])
                self._needed = end - at + 1 if header is None else header.start + header.size - at
                return
            at = header.start + header.size
            message = self._accept(header, _unmask(data, header.start, at))
            if message is not None:
                messages.append(message)
                if isinstance(message, Close):
                    return

    def _header(self, data: bytes, at: int) -> _Header | None:
        """Understand the frame that begins at `at`; None where its header is not complete."""
        if len(data) - at < 2:
            return None
        first, second = data[at], data[at + 1]
        self._check_first_bytes(first, second)
        size = second & 0x7F
        start = at + 6
        if size == 126:
            start = at + 8
        elif size == 127:
            start = at + 14
        if len(data) < start:
            return None
        if size == 126:
            (size,) = _U16.unpack_from(data, at + 2)
        elif size == 127:
            (size,) = _U64.unpack_from(data, at + 2)
        held = len(self._message) if self._message is not None and not first & 0x8 else 0
        if size + held > self._limit:
            raise _Refused(CloseCode.TOO_BIG, "message too big")
        return _Header(first & 0x0F, bool(first & _FIN), start, size)

    def _check_first_bytes(self, first: int, second: int) -> None:
        opcode = first & 0x0F
        if first & _RESERVED_BITS:
            raise _Refused(CloseCode.PROTOCOL_ERROR, "reserved bit set")
        if not second & _MASKED:
            raise _Refused(CloseCode.PROTOCOL_ERROR, "frame not masked")
        if opcode in (Opcode.CLOSE, Opcode.PING, Opcode.PONG):
            if not first & _FIN or second & 0x7F > CONTROL_PAYLOAD_LIMIT:
                raise _Refused(CloseCode.PROTOCOL_ERROR, "control frame fragmented or too long")
        elif opcode == Opcode.CONTINUATION:
            if self._message is None:
                raise _Refused(CloseCode.PROTOCOL_ERROR, "nothing to continue")
        elif opcode not in (Opcode.TEXT, Opcode.BINARY):
            raise _Refused(CloseCode.PROTOCOL_ERROR, "unknown opcode")
        elif self._message is not None:
            raise _Refused(CloseCode.PROTOCOL_ERROR, "message within a message")

    def _accept(self, header: _Header, payload: bytes) -> Message | None:
        match header.opcode:
            case Opcode.CLOSE:
                return _close(payload)
            case Opcode.PING:
                return Ping(payload)
            case Opcode.PONG:
                return Pong(payload)
        if header.fin and self._message is None:
            return _data(header.opcode, payload)
        if self._message is None:
            self._message = bytearray()
            self._message_opcode = header.opcode
        self._message += payload
        if not header.fin:
            return None
        whole, self._message = bytes(self._message), None
        return _data(self._message_opcode, whole)


def _unmask(data: bytes, start: int, end: int) -> bytes:
    """Return data[start:end] without the mask in front of it: one big XOR, not a loop over bytes."""
    size = end - start
    mask = (data[start - 4 : start] * ((size + 3) // 4))[:size]
    return (int.from_bytes(data[start:end], "little") ^ int.from_bytes(mask, "little")).to_bytes(size, "little")


def _data(opcode: int, payload: bytes) -> str | bytes:
    if opcode == Opcode.BINARY:
        return payload
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise _Refused(CloseCode.INVALID_TEXT, "text is not UTF-8") from error


def _close(payload: bytes) -> Close:
    if not payload:
        return Close(None, "")
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or not _may_be_sent(code):
        raise _Refused(CloseCode.PROTOCOL_ERROR, "invalid close code")
    try:
        return Close(code, payload[2:].decode())
    except UnicodeDecodeError as error:
        raise _Refused(CloseCode.INVALID_TEXT, "close reason is not UTF-8") from error


def _may_be_sent(code: int) -> bool:
    return (1000 <= code <= 1014 and code not in (1004, 1005, 1006)) or 3000 <= code <= 4999
