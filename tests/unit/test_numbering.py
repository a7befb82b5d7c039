"""The watcher and the gateways number by one object: the same event has the same position, wherever they began."""

import json
from typing import Any

import pytest
from bson import ObjectId, Timestamp

from services.common.cursor import LAST_ORDINAL, Position
from services.common.normalize import Change, End, Unknown
from services.common.numbering import Numbering, UnreadableEvent, replay_time
from services.common.visible_fields import ALL_FIELDS

SECOND = 1_700_000_000
TS = SECOND << 32 | 5


def event(kind: str, inc: int, number: int = 0, **fields: Any) -> dict[str, Any]:
    return {
        "_id": {"_data": f"82{SECOND:08X}{inc:08X}{number}"},
        "operationType": kind,
        "clusterTime": Timestamp(SECOND, inc),
        "documentKey": {"_id": ObjectId()},
        "fullDocument": {"number": number},
    } | fields


def nested(depth: int) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for _ in range(depth):
        document = {"deeper": document}
    return document


HISTORY = [
    event("insert", 3),
    *(event("insert", 5, number) for number in range(4)),  # a transaction
    event("a kind to come", 6),
    event("update", 6, fullDocument=nested(5000)),
    event("delete", 7),
]


def positions(numbering: Numbering, events: list[dict[str, Any]]) -> list[Position]:
    return [item.position for item in map(numbering.of, events) if isinstance(item, Change)]


def test_changes_of_one_cluster_time_are_counted_and_other_events_are_not() -> None:
    found = positions(Numbering("e1", Position.before(TS - 2), ALL_FIELDS), HISTORY)
    assert [(position.ts - TS, position.n) for position in found] == [
        (-2, 0),
        (0, 0),
        (0, 1),
        (0, 2),
        (0, 3),
        (1, 0),
        (2, 0),
    ]


@pytest.mark.parametrize("cut", range(1, len(HISTORY)))
def test_resuming_after_any_event_and_reading_from_its_time_give_the_same_positions(cut: int) -> None:
    whole = Numbering("e1", Position.before(TS - 2), ALL_FIELDS)
    before = positions(whole, HISTORY[:cut])
    after = positions(whole, HISTORY[cut:])
    assert positions(Numbering("e1", before[-1], ALL_FIELDS), HISTORY[cut:]) == after
    since = replay_time(before[-1])
    again = [each for each in HISTORY if each["clusterTime"] >= Timestamp(since >> 32, since & 0xFFFFFFFF)]
    replayed = positions(Numbering.replaying("e1", before[-1], ALL_FIELDS), again)
    assert [each for each in replayed if each > before[-1]] == after


def test_after_the_end_of_a_cluster_time_reading_starts_at_the_next_one() -> None:
    """It may be the end of the epoch before: the very drop with which the client's own epoch began."""
    assert replay_time(Position(TS, LAST_ORDINAL)) == TS + 1
    assert replay_time(Position(TS, 0)) == TS


def test_a_document_that_cannot_be_put_into_json_goes_out_without_its_data_but_with_what_decides_filters() -> None:
    numbering = Numbering("e1", Position.before(TS), ALL_FIELDS)
    before, after = ({**nested(5000), "status": status} for status in ("pending", "shipped"))
    item = numbering.of(event("update", 5, fullDocument=after, fullDocumentBeforeChange=before))
    assert isinstance(item, Change)
    assert item.position == numbering.last == Position(TS, 0)
    assert json.loads(item.envelope)["data"] is None
    assert json.loads(item.images) == {"after": {"status": "shipped"}, "before": {"status": "pending"}}


def test_a_change_without_a_usable_id_is_an_error_of_its_own_and_is_not_counted() -> None:
    numbering = Numbering("e1", Position.before(TS), ALL_FIELDS)
    with pytest.raises(UnreadableEvent):
        numbering.of(event("insert", 5, documentKey={}))
    assert numbering.last == Position.before(TS)


def test_ends_and_unknown_kinds_are_passed_on() -> None:
    numbering = Numbering("e1", Position.before(TS), ALL_FIELDS)
    assert isinstance(numbering.of(event("drop", 5)), End)
    assert isinstance(numbering.of(event("something new", 5)), Unknown)
    assert numbering.last == Position.before(TS)
