"""One change as the gateway keeps it: ready to send in any form, encoded at most once per form."""

from typing import Any

import msgspec

from services.common.cursor import Cursor, Position
from services.common.envelope import Operation, left_filter
from services.common.stream_spec import ORDERS
from services.gateway.wire import socketio, sse, strict_json, websocket
from services.gateway.wire.form import Form

EVENT_NAME = ORDERS.event
_NAME_JSON = strict_json.dumps(EVENT_NAME)

# Python's overhead for an event with its small parts, and for each thing that it caches; measured by a test.
_EVENT_BYTES = 600
_KEPT_BYTES = 150
_IMAGES_BYTES = 150


class ByteBudget:
    """The byte limit of one ring's events, and how much of it they use."""

    __slots__ = ("most", "used")

    def __init__(self, most: int) -> None:
        self.most = most
        self.used = 0

    def spend(self, size: int) -> bool:
        """Count ``size`` more bytes, or return False where that would exceed the limit."""
        if self.used + size > self.most:
            return False
        self.used += size
        return True


_SPENT = ByteBudget(0)


class _Envelope(msgspec.Struct):
    """The fields of an envelope that the gateway itself needs."""

    operation: Operation
    id: str
    cursor: str
    at: str


class _Images(msgspec.Struct):
    """The fields that decide filters, as the watcher published them; None where unknown."""

    after: dict[str, Any] | None = None
    before: dict[str, Any] | None = None


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_IMAGES: msgspec.json.Decoder[_Images | None] = msgspec.json.Decoder(_Images | None)
_UNKNOWN = _Images()


class Event:
    """One change. The fields that only filters need are decoded when the first filter asks.

    In a ring it counts the bytes that it caches, and caches no more than the budget allows; outside a ring it lives no
    longer than a page.
    """

    __slots__ = (
        "_budget",
        "_encoded",
        "_images",
        "_images_json",
        "at",
        "cursor",
        "envelope",
        "id",
        "kept",
        "operation",
        "position",
    )

    def __init__(self, envelope: bytes, images: bytes) -> None:
        head = _ENVELOPE.decode(envelope)
        self.envelope = envelope
        self.operation = head.operation
        self.id = head.id
        self.cursor = head.cursor
        self.position: Position = Cursor.parse(head.cursor).position
        self.at = head.at
        self._images_json = images
        self._images: _Images | None = None
        self._encoded: dict[Form, bytes] | None = None
        self._budget: ByteBudget | None = None
        self.kept = 0

    @property
    def size(self) -> int:
        """How many bytes it takes before it caches anything."""
        return _EVENT_BYTES + len(self.envelope) + len(self._images_json) + len(self.id)

    def charge_to(self, budget: ByteBudget) -> None:
        """Count against the budget of a ring, even beyond its limit: the ring trims itself afterwards."""
        self._budget = budget
        self.kept = self.size
        budget.used += self.kept
        self._encoded = self._images = None

    def release(self) -> None:
        """Return the bytes to the ring's budget and cache nothing more: a client may still be waiting for the event."""
        if self._budget is not None:
            self._budget.used -= self.kept
        self._budget = _SPENT
        self._encoded = self._images = None

    def _may_keep(self, size: int) -> bool:
        if self._budget is None:
            return True
        if not self._budget.spend(size + _KEPT_BYTES):
            return False
        self.kept += size + _KEPT_BYTES
        return True

    @property
    def deciding(self) -> dict[str, Any] | None:
        """The fields that decide filters, after the change (of a deletion: the last ones); None where unknown."""
        return self._decoded_images().after

    @property
    def deciding_before(self) -> dict[str, Any] | None:
        """The same before an update."""
        return self._decoded_images().before

    def _decoded_images(self) -> _Images:
        images = self._images
        if images is None:
            images = _IMAGES.decode(self._images_json) or _UNKNOWN
            if self._may_keep(_IMAGES_BYTES + 4 * len(self._images_json)):
                self._images = images
        return images

    @property
    def left(self) -> "Event":
        """The event that says instead that the order has left the client's filter; not cached, since few need it."""
        return Event(left_filter(self.id, self.cursor, self.at), b"{}")

    def encoded(self, form: Form, suffix: str = "", view: str = "") -> bytes:
        """Return the event as the bytes that go out.

        ``suffix`` is added to the offset that recovery sends back, ``view`` to the cursor. Clients may have any number
        of different ones, so an event with one of them is encoded each time, not cached.
        """
        if suffix or view:
            return self._encode(form, suffix, view)
        if self._encoded is not None and (data := self._encoded.get(form)) is not None:
            return data
        data = self._encode(form)
        if self._may_keep(len(data)):
            if self._encoded is None:
                self._encoded = {}
            self._encoded[form] = data
        return data

    def _encode(self, form: Form, suffix: str = "", view: str = "") -> bytes:
        envelope, cursor = self.envelope, self.cursor
        if view:
            cursor = cursor.replace(".", f"_{view}.", 1)
            envelope = cursor.encode().join(envelope.rsplit(self.cursor.encode(), 1))  # only the time comes after it
        match form:
            case Form.WEBSOCKET | Form.POLLING:
                return encode_for_sockets(form, _NAME_JSON, envelope, f"{cursor}{suffix}")
            case Form.SSE:
                return sse.chunk(sse.event(EVENT_NAME, envelope, cursor))
            case Form.SSE_PLAIN:
                return sse.event(EVENT_NAME, envelope, cursor)


def encode_for_sockets(form: Form, name: bytes, payload: bytes, offset: str) -> bytes:
    """Return an event, whose name and payload are JSON already, as the bytes that go out to a Socket.IO client."""
    packet = b"4" + socketio.encoded_event(name, payload, f'"{offset}"'.encode())
    return websocket.text_frame(packet) if form is Form.WEBSOCKET else packet


SEPARATOR = {Form.WEBSOCKET: b"", Form.POLLING: b"\x1e", Form.SSE: b"", Form.SSE_PLAIN: b""}
