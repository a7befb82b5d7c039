"""Parses the bytes of a websocket client into messages."""

from struct import Struct
from typing import NamedTuple

from services.gateway.wire.websocket import CONTROL_PAYLOAD_LIMIT, CloseCode, Opcode

_U16 = Struct("!H")
_U64 = Struct("!Q")
_FIN = 0x80
_RESERVED_BITS = 0x70
_MASKED = 0x80

_WHOLE = (_FIN | Opcode.TEXT, _FIN | Opcode.BINARY)  # the first byte of nearly every frame

MAX_FRAGMENTS = 64  # of one message; more is a violation: no honest client fragments a message that much


class Ping(NamedTuple):
    """A ping; answer it with a `pong_frame` with the same payload."""

    payload: bytes


class Pong(NamedTuple):
    """A pong; it needs no answer."""

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
    """A parsed frame header; the payload begins after `start` bytes."""

    opcode: int
    fin: bool
    start: int
    size: int


class _Refused(Exception):
    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.violation = Violation(code, reason)


class FrameReader:
    """Reads one frame at a time, so that its user can count and refuse each before its payload costs anything.

        reader.feed(data)
        if reader.next_frame():        # a header is complete: the frame can be counted and refused
            ...
        if reader.is_complete:         # the payload is complete, too
            message = reader.read()    # and is unmasked only now

    A message is at most `limit` bytes and `MAX_FRAGMENTS` frames. After a `Violation` or a `Close` there is nothing
    more to read. Between frames an idle connection costs no buffer.
    """

    __slots__ = ("_at", "_data", "_fragments", "_header", "_limit", "_message", "_message_opcode", "_violation")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._data: bytes | bytearray | None = b""  # None: reading has stopped
        self._at = 0  # where the unread bytes begin
        self._header: _Header | None = None  # of the frame whose payload is awaited
        self._violation: Violation | None = None
        self._message: bytearray | None = None
        self._message_opcode = 0
        self._fragments = 0

    @property
    def unread(self) -> int:
        """How many bytes have been fed but not read."""
        return 0 if self._data is None else len(self._data) - self._at

    def feed(self, data: bytes) -> None:
        """Add received bytes; unread ones are not copied, so a large frame that arrives byte by byte stays cheap."""
        if self._data is None:
            return
        if self._at == len(self._data):
            self._data, self._at = data, 0
            return
        if not isinstance(self._data, bytearray):
            self._data, self._at = bytearray(memoryview(self._data)[self._at :]), 0
        self._data += data

    def next_frame(self) -> bool:
        """Return whether another frame header or a protocol violation has arrived. True once for each."""
        if self._data is None or self._header is not None or self._violation is not None:
            return False
        try:
            self._header = self._read_header(self._data, self._at)
        except _Refused as refused:
            self._violation = refused.violation
        return self._header is not None or self._violation is not None

    @property
    def is_complete(self) -> bool:
        """Whether `read` has something to return: a frame with its whole payload, or a violation."""
        if self._header is None or self._data is None:
            return self._violation is not None
        return len(self._data) - self._at >= self._header.start + self._header.size

    def read(self) -> Message | None:
        """Return the message that the frame completes; None where more fragments must follow."""
        header = self._header
        if header is None or self._data is None:
            return None if self._violation is None else self._end(self._violation)
        start = self._at + header.start
        payload = _unmask(self._data, start, start + header.size)
        self._header = None
        self._consume(start + header.size)
        try:
            message = self._accept(header, payload)
        except _Refused as refused:
            message = refused.violation
        return self._end(message) if isinstance(message, (Close, Violation)) else message

    def stop(self) -> None:
        """Stop reading and free all buffers."""
        self._data = self._header = self._message = self._violation = None
        self._at = 0

    def _end(self, message: Message) -> Message:
        self.stop()
        return message

    def _consume(self, end: int) -> None:
        if self._data is None or end == len(self._data):
            self._data, self._at = b"", 0
        elif isinstance(self._data, bytearray):
            del self._data[:end]  # does not copy the rest
        else:
            self._at = end

    def _read_header(self, data: bytes | bytearray, at: int) -> _Header | None:
        """Parse the frame header at `at`; None where it is not complete."""
        if len(data) - at < 2:
            return None
        first, second = data[at], data[at + 1]
        if first not in _WHOLE or second < _MASKED or self._message is not None:
            self._check_first_bytes(first, second)
        size = second & 0x7F
        start = 6 if size < 126 else 8 if size == 126 else 14
        if len(data) - at < start:
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
            if self._fragments == MAX_FRAGMENTS:
                raise _Refused(CloseCode.POLICY, "too many fragments")
        elif opcode not in (Opcode.TEXT, Opcode.BINARY):
            raise _Refused(CloseCode.PROTOCOL_ERROR, "unknown opcode")
        elif self._message is not None:
            raise _Refused(CloseCode.PROTOCOL_ERROR, "message within a message")

    def _accept(self, header: _Header, payload: bytes) -> Message | None:
        if header.fin and self._message is None and header.opcode < Opcode.CLOSE:
            return _data(header.opcode, payload)
        match header.opcode:
            case Opcode.CLOSE:
                return _close(payload)
            case Opcode.PING:
                return Ping(payload)
            case Opcode.PONG:
                return Pong(payload)
        if self._message is None:
            self._message = bytearray()
            self._message_opcode = header.opcode
            self._fragments = 0
        self._message += payload
        self._fragments += 1
        if not header.fin:
            return None
        whole, self._message = bytes(self._message), None
        return _data(self._message_opcode, whole)


def _unmask(data: bytes | bytearray, start: int, end: int) -> bytes:
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
