"""A part of a snapshot as clients get it: some orders in one event, encoded at most once per form."""

from collections.abc import Sequence

from services.common.documents import Json, dumps
from services.gateway.wire import socketio, sse, websocket
from services.gateway.wire.form import Form

# In place of a cursor until the snapshot is complete: a client that sends it back gets a whole one, from the start.
INSIDE = "snapshot"
SNAPSHOT_EVENT, LIVE_EVENT = "snapshot", "live"  # the names of the events

_NAME_JSON = dumps(SNAPSHOT_EVENT)
_OVERHEAD = 1000  # bytes in memory besides what is sent, roughly


class SnapshotChunk:
    """The orders of an audience at cluster time ``at``, from one id downwards; ``part`` counts the chunks from 0.

    ``last`` is the lowest id in it, ``is_last`` whether no orders follow. ``suffix`` is what Socket.IO clients send
    back to recover, besides the cursor.
    """

    __slots__ = ("_encoded", "_payload", "_suffix", "at", "count", "is_last", "last", "part")

    def __init__(
        self, orders: Sequence[Json], part: int, at: int, last: str | None, suffix: str, *, is_last: bool
    ) -> None:
        self.part = part
        self.at = at
        self.last = last
        self.is_last = is_last
        self.count = len(orders)
        self._suffix = suffix
        self._payload = dumps({"part": part, "orders": [*orders], "cursor": INSIDE})
        self._encoded: dict[Form, bytes] = {}

    @property
    def length(self) -> int:
        """How many bytes its event has."""
        return len(self._payload)

    @property
    def size(self) -> int:
        """How many bytes it takes in memory, in two forms: few crowds use more."""
        return _OVERHEAD + 3 * len(self._payload)

    def encoded(self, form: Form) -> bytes:
        """Return the event as the bytes that go out."""
        data = self._encoded.get(form)
        if data is None:
            data = self._encoded[form] = self._encode(form)
        return data

    def _encode(self, form: Form) -> bytes:
        match form:
            case Form.WEBSOCKET:
                return websocket.text_frame(b"4" + self._packet())
            case Form.POLLING:
                return b"4" + self._packet()
            case Form.SSE:
                return sse.chunk(self._encode(Form.SSE_PLAIN))
            case Form.SSE_PLAIN:
                return sse.event(SNAPSHOT_EVENT, self._payload, INSIDE)

    def _packet(self) -> bytes:
        return socketio.encoded_event(_NAME_JSON, self._payload, dumps(f"{INSIDE}{self._suffix}"))
