"""Events that are decoded one by one: what cannot be decoded of one is left out."""

from typing import Any

import bson
import pytest
from bson import ObjectId, Timestamp
from bson.raw_bson import RawBSONDocument

from services.common.normalize import DECIDING
from services.common.numbering import UnreadableEvent
from services.mongodb.raw_events import RAW, decoded

ID = ObjectId()
EVENT: dict[str, Any] = {
    "_id": {"_data": "82AB"},
    "operationType": "update",
    "clusterTime": Timestamp(1, 2),
    "documentKey": {"_id": {"a": ID}},
    "fullDocument": {"_id": {"a": ID}, "number": 5},
    DECIDING["fullDocument"]: {"status": "pending"},
}


def raw(event: dict[str, Any], *, damaged: bytes = b"") -> RawBSONDocument:
    """Return the event as it is read, with a value of an unknown type in place of a number so called."""
    data = bson.encode(event)
    if damaged:
        assert data.count(b"\x10" + damaged + b"\0") == 1
        data = data.replace(b"\x10" + damaged + b"\0", b"\x30" + damaged + b"\0")
    return RawBSONDocument(data, RAW)


def test_an_event_that_is_whole_is_decoded_as_ever() -> None:
    assert decoded(raw(EVENT)) == EVENT
    assert decoded(EVENT) is EVENT


def test_an_image_that_cannot_be_decoded_is_left_out_and_what_decides_filters_is_not() -> None:
    found = decoded(raw(EVENT, damaged=b"number"))
    assert set(found) == set(EVENT) - {"fullDocument"}
    assert found["documentKey"]["_id"]["a"] == ID
    assert found[DECIDING["fullDocument"]]["status"] == "pending"


def test_an_event_of_which_not_even_the_rest_can_be_decoded_is_unreadable() -> None:
    with pytest.raises(UnreadableEvent):
        decoded(raw({**EVENT, "wallTime": 7}, damaged=b"wallTime"))
