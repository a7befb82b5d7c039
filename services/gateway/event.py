"""One change as the gateway keeps it: ready to be sent in any form, encoded at most once in each."""

from typing import Any

import msgspec

from services.common.cursor import Cursor, Position
from services.common.envelope import Operation, left_filter
from services.gateway.wire import socketio, sse, strict_json, websocket
from services.gateway.wire.form import Form

EVENT_NAME = "orderUpdate"
_NAME_JSON = strict_json.dumps(EVENT_NAME)


class _Envelope(msgspec.Struct):
    """What the gateway itself needs to know of an envelope."""

    operation: Operation
    id: str
    cursor: str
    at: str


class _Fields(msgspec.Struct):
    data: dict[str, Any] | None


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_FIELDS = msgspec.json.Decoder(_Fields)
_BEFORE: msgspec.json.Decoder[dict[str, Any] | None] = msgspec.json.Decoder(dict[str, Any] | None)


class Event:
    """One change. What only filters ask for is decoded when the first filter asks."""

    __slots__ = (
        "_after",
        "_before",
        "_before_json",
        "_encoded",
        "_left",
        "at",
        "cursor",
        "envelope",
        "id",
        "operation",
        "position",
    )

    def __init__(self, envelope: bytes, before: bytes) -> None:
        head = _ENVELOPE.decode(envelope)
        self.envelope = envelope
        self.operation = head.operation
        self.id = head.id
        self.cursor = head.cursor
        self.position: Position = Cursor.parse(head.cursor).position
        self.at = head.at
        self._before_json = before
        self._encoded: dict[tuple[Form, str], bytes] = {}

    @property
    def data(self) -> dict[str, Any] | None:
        """The order as the envelope shows it."""
        try:
            return self._after
        except AttributeError:
            self._after: dict[str, Any] | None = _FIELDS.decode(self.envelope).data
            return self._after

    @property
    def before(self) -> dict[str, Any] | None:
        """What filters look at, as it was before an update; None where nobody knows."""
        try:
            return self._before
        except AttributeError:
            self._before: dict[str, Any] | None = _BEFORE.decode(self._before_json)
            return self._before

    @property
    def left(self) -> "Event":
        """The event that says instead that the order has left the client's filter."""
        try:
            return self._left
        except AttributeError:
            self._left: Event = Event(left_filter(self.id, self.cursor, self.at), b"null")
            return self._left

    def encoded(self, form: Form, suffix: str = "") -> bytes:
        """Return the event as the bytes that go out; ``suffix`` is added to the offset that recovery sends back."""
        data = self._encoded.get((form, suffix))
        if data is None:
            data = self._encoded[form, suffix] = self._encode(form, suffix)
        return data

    def _encode(self, form: Form, suffix: str) -> bytes:
        match form:
            case Form.WEBSOCKET:
                return websocket.text_frame(b"4" + self._packet(suffix))
            case Form.POLLING:
                return b"4" + self._packet(suffix)
            case Form.SSE:
                return sse.chunk(self.encoded(Form.SSE_PLAIN))
            case Form.SSE_PLAIN:
                return sse.event(EVENT_NAME, self.envelope, self.cursor)

    def _packet(self, suffix: str) -> bytes:
        return socketio.encoded_event(_NAME_JSON, self.envelope, f'"{self.cursor}{suffix}"'.encode())


SEPARATOR = {Form.WEBSOCKET: b"", Form.POLLING: b"\x1e", Form.SSE: b"", Form.SSE_PLAIN: b""}
