"""Parses the events that a client is shown, straight from the bytes of either transport."""

import json
import re
from typing import Any, NamedTuple

from services.common.cursor import Cursor, Position
from tests.faults.order import Content, content


class Shown(NamedTuple):
    """One envelope, as a client saw it. ``content`` is None where the envelope carries no order."""

    position: Position
    operation: str
    id: str
    content: Content | None
    left: bool
    epoch: str


# The fields are in the order in which our writers store them; anything else takes the slow path through json.
_ENVELOPE = (
    rb'\{"operation":"(INSERT|UPDATE|DELETE)","id":"([0-9a-f]{24})","data":(?:null|\{"_id":"[0-9a-f]{24}",'
    rb'"customer_name":"([^"\\]*)","product_name":"#(\d+)","status":"([^"\\]*)","updated_at":"[^"]*"\}),'
    rb'"cursor":"([0-9a-z]+)(?:_[0-9a-z]+)?\.(\d+)-(\d+)","at":"[^"]*"(,"left":true)?\}'
)
_SOCKETIO = re.compile(rb'42\["orderUpdate",' + _ENVELOPE + rb',"([^"\\]*)"\]')
_SSE = re.compile(rb"id: ([^\n]*)\nevent: orderUpdate\ndata: " + _ENVELOPE + rb"\n\n")


def from_socketio(packet: bytes) -> Shown:
    """Read a packet that holds an `orderUpdate`."""
    match = _SOCKETIO.fullmatch(packet)
    return from_envelope(json.dumps(json.loads(packet[2:])[1])) if match is None else _shown(match.groups()[:9])


def from_sse(block: bytes) -> Shown:
    """Read a block that holds an `orderUpdate`."""
    match = _SSE.fullmatch(block)
    if match is not None:
        return _shown(match.groups()[1:])
    return from_envelope(next(line[6:] for line in block.splitlines() if line.startswith(b"data: ")))


def from_envelope(envelope: str | bytes) -> Shown:
    """Read an envelope of any shape."""
    fields = json.loads(envelope)
    cursor = Cursor.parse(fields["cursor"])
    data = fields["data"]
    return Shown(
        position=cursor.position,
        operation=fields["operation"],
        id=fields["id"],
        content=None if data is None else content(data),
        left=fields.get("left", False),
        epoch=cursor.epoch,
    )


def _shown(groups: tuple[Any, ...]) -> Shown:
    operation, order, customer, stamp, status, epoch, ts, n, left = groups
    known = None if stamp is None else Content(customer.decode(), int(stamp), status.decode())
    return Shown(Position(int(ts), int(n)), operation.decode(), order.decode(), known, left is not None, epoch.decode())
