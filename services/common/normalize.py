"""Turns a raw change event into a change with its envelope, or the end of an epoch."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from services.common.cursor import Cursor, Position, cluster_time
from services.common.documents import iso, iso_at
from services.common.envelope import Operation, encode_envelope
from services.common.filter_fields import deciding_fields
from services.common.ids import id_text
from services.common.order_json import order_json
from services.common.visible_fields import VisibleFields


def match_stage(collection: str) -> dict[str, Any]:
    """Return the pipeline stage that selects the events of one collection from its database's change stream."""
    return {
        "$match": {
            "$or": [
                {"ns.coll": collection},
                {"to.coll": collection},  # another collection renamed onto this one
                {"operationType": {"$in": ["dropDatabase", "invalidate"]}},
            ]
        }
    }


# All fields that are used; the others (update descriptions, sessions, …) need not cross the network.
FIELDS = ("operationType", "clusterTime", "wallTime", "documentKey")
IMAGES = ("fullDocument", "fullDocumentBeforeChange")
# What an event has besides its images, which may be too large: their fields that decide filters, so that filters and
# rights judge a change whatever its size.
DECIDING = {"fullDocument": "deciding", "fullDocumentBeforeChange": "decidingBefore"}

# Larger envelopes are sent without their data, for clients to fetch: megabytes to each of a thousand clients would
# stall the live stream. The REST API takes no order of this size.
LARGEST_ENVELOPE = 256 * 1024
# Bytes of BSON. Of a larger order MongoDB sends only the fields that decide: nearly all of these would go without their
# data, and every change waits until those before it have been decoded and encoded.
LARGEST_IMAGE = LARGEST_ENVELOPE

OPERATIONS = {
    "insert": Operation.INSERT,
    "update": Operation.UPDATE,
    "replace": Operation.UPDATE,
    "delete": Operation.DELETE,
}


class EpochReason(StrEnum):
    """Why a new epoch began, and older positions are no longer comparable; sent to clients in `resync`."""

    FIRST_START = "first_start"
    STATE_LOST = "state_lost"
    HISTORY_LOST = "history_lost"
    TOKEN_UNKNOWN = "token_unknown"
    DATABASE_REPLACED = "database_replaced"
    PIPELINE_CHANGED = "pipeline_changed"
    FIELDS_CHANGED = "fields_changed"  # clients may see other fields than before
    COLLECTION_DROPPED = "collection_dropped"
    COLLECTION_RENAMED = "collection_renamed"
    DATABASE_DROPPED = "database_dropped"
    INVALIDATED = "invalidated"


ENDS = {
    "drop": EpochReason.COLLECTION_DROPPED,
    "rename": EpochReason.COLLECTION_RENAMED,
    "dropDatabase": EpochReason.DATABASE_DROPPED,
    "invalidate": EpochReason.INVALIDATED,
}


class Change(NamedTuple):
    """One change, ready for the log: ``envelope`` and ``images`` are JSON, ``token`` resumes the stream after it.

    ``images`` holds the fields that filters use, ``after`` the change (or the last known) and ``before`` an UPDATE,
    each ``null`` if unknown; also when the envelope goes without its data.
    """

    position: Position
    token: str
    envelope: bytes
    images: bytes


@dataclass(frozen=True, slots=True)
class End:
    """The collection's history breaks here, at ``ts``; the stream resumes after ``token``."""

    reason: EpochReason
    token: str
    ts: int


class Unknown(NamedTuple):
    """An event of an unknown kind, to be skipped; the stream resumes after ``token``."""

    kind: str
    token: str


def normalize(event: Mapping[str, Any], epoch: str, last: Position, visible: VisibleFields) -> Change | End | Unknown:
    """Classify the event; ``last`` is the position of the previous change.

    The envelope has the ``visible`` fields only, the images have all that decide.
    """
    token: str = event["_id"]["_data"]
    kind: str = event["operationType"]
    operation = OPERATIONS.get(kind)
    if operation is None:
        end = ENDS.get(kind)
        return Unknown(kind, token) if end is None else End(end, token, cluster_time(event["clusterTime"]))
    position = last.next_at(cluster_time(event["clusterTime"]))
    image = "fullDocumentBeforeChange" if operation is Operation.DELETE else "fullDocument"
    document = event.get(image)
    data = None if document is None else order_json(document, visible)
    name, cursor, at = id_text(event["documentKey"]["_id"]), str(Cursor(epoch, position)), _committed(event)
    envelope = encode_envelope(operation, name, data, cursor, at)
    if len(envelope) > LARGEST_ENVELOPE:
        envelope = encode_envelope(operation, name, None, cursor, at)
    before = _deciding(event, "fullDocumentBeforeChange") if operation is Operation.UPDATE else None
    images = orjson.dumps({"after": _deciding(event, image), "before": before})
    return Change(position, token, envelope, images)


def without_images(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event with only those fields of its images that decide filters."""
    reduced = {name: value for name, value in event.items() if name not in IMAGES}
    return reduced | {DECIDING[image]: deciding_fields(event[image]) for image in IMAGES if image in event}


def _deciding(event: Mapping[str, Any], image: str) -> dict[str, str] | None:
    document = event.get(image)
    return deciding_fields(event.get(DECIDING[image]) if document is None else document)


def token_time(token: str) -> int | None:
    """Return the cluster time (u64) in a resume token, or None if it is not one.

    Tokens are hexadecimal; after the type byte 82 come the eight bytes of the time (KeyString of the server).
    """
    try:
        return int(token[2:18], 16) if len(token) >= 18 and token.startswith("82") else None
    except ValueError:
        return None


def _committed(event: Mapping[str, Any]) -> str:
    wall = event.get("wallTime")  # since MongoDB 6.0; the cluster time has only seconds
    return iso(wall) if isinstance(wall, datetime) else iso_at(event["clusterTime"].time)
