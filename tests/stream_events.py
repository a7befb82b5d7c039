"""Changes of an imaginary stream, and a client that keeps what it is sent: for tests of log, hub and feed."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from services.common.cursor import Cursor, Position
from services.common.documents import Json, dumps
from services.common.envelope import Operation, encode_envelope
from services.common.filter_fields import deciding_fields
from services.common.normalize import Change
from services.gateway.event import Event
from services.gateway.wire.form import Form

EPOCH = "e1"
AT = "2026-01-01T00:00:00.000Z"


def change(
    position: Position | int,
    operation: Operation = Operation.INSERT,
    *,
    id: str = "a",
    data: dict[str, Json] | None = None,
    before: dict[str, Json] | None = None,
    epoch: str = EPOCH,
) -> Change:
    """Return a change as the watcher publishes it; a number stands for the position (number, 0)."""
    place = Position(position, 0) if isinstance(position, int) else position
    envelope = encode_envelope(operation, id, data, str(Cursor(epoch, place)), AT)
    images: Json = {"after": deciding(data), "before": deciding(before)}
    return Change(place, f"token-{place}", envelope, dumps(images))


def deciding(fields: dict[str, Json] | None) -> Json:
    found = deciding_fields(fields)
    return None if found is None else {**found}


def event(
    position: Position | int,
    operation: Operation = Operation.INSERT,
    *,
    id: str = "a",
    data: dict[str, Json] | None = None,
    before: dict[str, Json] | None = None,
    epoch: str = EPOCH,
) -> Event:
    """Return the same change as the gateway keeps it."""
    made = change(position, operation, id=id, data=data, before=before, epoch=epoch)
    return Event(made.envelope, made.images)


def events(first: int, last: int, epoch: str = EPOCH) -> list[Event]:
    """Return inserts at the positions ``first`` to ``last``."""
    return [event(number, epoch=epoch) for number in range(first, last + 1)]


@dataclass(eq=False)
class Outlet:
    """A client's end that takes ``room`` writes before it is full, which it says by ``full``."""

    form: Form = Form.SSE_PLAIN
    room: float = float("inf")
    full: Callable[[], None] = lambda: None
    writes: list[list[dict[str, Any]]] = field(default_factory=list)
    resyncs: list[tuple[str, str]] = field(default_factory=list)
    incidents: list[str] = field(default_factory=list)
    statuses: list[str | None] = field(default_factory=list)
    aborted: int = 0

    client: ClassVar[str] = "somebody"
    descriptor: ClassVar[None] = None

    def write(self, data: bytes | memoryview) -> None:
        self.writes.append(decoded(self.form, bytes(data)))
        self.room -= 1
        if self.room <= 0:
            self.full()

    def resync(self, reason: str, cursor: Cursor, incident: str = "") -> None:
        self.resyncs.append((str(reason), str(cursor)))
        self.incidents.append(incident)

    def status(self, stale: str | None, cursor: Cursor) -> None:  # noqa: ARG002
        self.statuses.append(stale)

    def abort(self) -> None:
        self.aborted += 1

    @property
    def seen(self) -> list[dict[str, Any]]:
        """The envelopes in the order in which they came."""
        return [envelope for batch in self.writes for envelope in batch]

    @property
    def positions(self) -> list[int]:
        """The cluster times of the events."""
        return [Cursor.parse(envelope["cursor"]).position.ts for envelope in self.seen]


def decoded(form: Form, data: bytes) -> list[dict[str, Any]]:
    """Read what was written in one of the two forms that are text; check that offset and envelope agree."""
    match form:
        case Form.SSE_PLAIN:
            return [_of_sse(block) for block in data.decode().split("\n\n") if block]
        case Form.POLLING:
            return [_of_packet(packet) for packet in data.split(b"\x1e")]
        case _:
            raise NotImplementedError(form)


def _of_sse(block: str) -> dict[str, Any]:
    lines = dict(line.split(": ", 1) for line in block.split("\n"))
    envelope: dict[str, Any] = json.loads(lines["data"])
    assert (lines["event"], lines["id"]) == ("orderUpdate", envelope["cursor"])
    return envelope


def _of_packet(packet: bytes) -> dict[str, Any]:
    assert packet.startswith(b"42")
    name, envelope, offset = json.loads(packet[2:])
    assert name == "orderUpdate"
    assert offset.partition("~")[0] == envelope["cursor"]
    assert isinstance(envelope, dict)
    return envelope


def positions(sequence: Sequence[Event]) -> list[int]:
    """Return the cluster times of events."""
    return [item.position.ts for item in sequence]
