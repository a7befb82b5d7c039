"""Each kind of change event becomes one envelope, one end of an epoch, or nothing."""

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Code, Decimal128, Int64, ObjectId, Timestamp

from services.common.cursor import Position
from services.common.normalize import ENDS, Change, End, EpochReason, Unknown, normalize
from services.common.visible_fields import ALL_FIELDS

ID = ObjectId("0123456789abcdef01234567")
TS = 1_700_000_000 << 32 | 5
BEFORE_ALL = Position.before(TS)
ORDER = {"_id": ID, "customer_name": "Ada", "status": "shipped", "updated_at": datetime(2026, 1, 1, tzinfo=UTC)}
PLAIN = {
    "_id": str(ID),
    "customer_name": "Ada",
    "status": "shipped",
    "updated_at": "2026-01-01T00:00:00.000Z",
}


def raw(kind: str, **fields: Any) -> dict[str, Any]:
    event = {
        "_id": {"_data": "82AB"},
        "operationType": kind,
        "clusterTime": Timestamp(1_700_000_000, 5),
        "wallTime": datetime(2026, 1, 1, 12, 0, 0, 250_000, UTC),
        "documentKey": {"_id": ID},
    }
    return event | fields


def change(event: dict[str, Any], last: Position = BEFORE_ALL) -> Change:
    found = normalize(event, "e1", last, ALL_FIELDS)
    assert isinstance(found, Change)
    return found


@pytest.mark.parametrize(
    ("event", "operation", "data", "before"),
    [
        (raw("insert", fullDocument=ORDER), "INSERT", PLAIN, None),
        (raw("update", fullDocument=ORDER), "UPDATE", PLAIN, None),
        (raw("replace", fullDocument=ORDER), "UPDATE", PLAIN, None),
        (raw("update", fullDocument=None), "UPDATE", None, None),
        (raw("update"), "UPDATE", None, None),
        (
            raw("update", fullDocument=ORDER, fullDocumentBeforeChange={"status": "pending", "product_name": "x"}),
            "UPDATE",
            PLAIN,
            {"status": "pending"},
        ),
        (
            raw("replace", fullDocument=ORDER, fullDocumentBeforeChange={"_id": ID, "customer_name": 7, "status": ID}),
            "UPDATE",
            PLAIN,
            {},
        ),
        (raw("update", fullDocument=ORDER, fullDocumentBeforeChange={}), "UPDATE", PLAIN, {}),
        (raw("delete", fullDocumentBeforeChange=ORDER), "DELETE", PLAIN, None),
        (raw("delete", fullDocumentBeforeChange=None), "DELETE", None, None),
        (raw("delete"), "DELETE", None, None),
    ],
)
def test_each_kind_of_change_has_its_envelope(
    event: dict[str, Any], operation: str, data: dict[str, Any] | None, before: dict[str, Any] | None
) -> None:
    found = change(event)
    assert json.loads(found.envelope) == {
        "operation": operation,
        "id": str(ID),
        "data": data,
        "cursor": f"e1.{TS}-0",
        "at": "2026-01-01T12:00:00.250Z",
    }
    assert json.loads(found.images)["before"] == before
    assert (found.position, found.token) == (Position(TS, 0), "82AB")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Ada", "Ada"),
        ("x" * 200, "x" * 200),
        ("x" * 201, None),  # no filter uses it
        (Int64(2**60), None),
        (ID, None),
        (Decimal128("1.5"), None),
        (datetime(2026, 1, 1), None),  # noqa: DTZ001
        (math.nan, None),
        (Code("Ada"), None),
        (["Ada"], None),
        ({"Ada": 1}, None),
        (None, None),
    ],
)
def test_filter_fields_are_judged_by_their_bson_type(value: Any, expected: str | None) -> None:
    """As JSON a long integer, an ObjectId and a date are strings, too."""
    found = change(raw("update", fullDocument={"_id": ID, "customer_name": value}))
    assert json.loads(found.images)["after"] == ({} if expected is None else {"customer_name": expected})


def test_filter_fields_are_published_even_if_the_order_is_too_large() -> None:
    found = change(raw("insert", fullDocument={**ORDER, "notes": "x" * 300_000}))
    assert json.loads(found.envelope)["data"] is None
    assert json.loads(found.images)["after"] == {
        name: PLAIN[name] for name in ("status", "customer_name") if name in PLAIN
    }


def test_changes_of_one_cluster_time_are_numbered() -> None:
    first = change(raw("insert", fullDocument=ORDER))
    second = change(raw("insert", fullDocument=ORDER), first.position)
    later = change(raw("insert", fullDocument=ORDER, clusterTime=Timestamp(1_700_000_000, 6)), second.position)
    assert [each.position for each in (first, second, later)] == [
        Position(TS, 0),
        Position(TS, 1),
        Position(TS + 1, 0),
    ]


def test_without_wall_time_the_second_of_the_commit_is_given() -> None:
    event = raw("insert", fullDocument=ORDER)
    del event["wallTime"]
    assert json.loads(change(event).envelope)["at"] == "2023-11-14T22:13:20.000Z"


@pytest.mark.parametrize(("id", "text"), [("k1", "k1"), (7, "~i7"), ("~i7", "~s~i7"), (None, "~bBwAAAAoAAA")])
def test_an_id_may_be_of_any_type(id: Any, text: str) -> None:
    event = raw("insert", fullDocument={"_id": id}, documentKey={"_id": id})
    envelope = json.loads(change(event).envelope)
    assert (envelope["id"], envelope["data"]) == (text, {"_id": text})


def test_a_sharded_collection_names_more_than_the_id() -> None:
    event = raw("delete", documentKey={"region": "eu", "_id": ID})
    assert json.loads(change(event).envelope)["id"] == str(ID)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("drop", EpochReason.COLLECTION_DROPPED),
        ("rename", EpochReason.COLLECTION_RENAMED),
        ("dropDatabase", EpochReason.DATABASE_DROPPED),
        ("invalidate", EpochReason.INVALIDATED),
    ],
)
def test_events_that_end_the_history_end_the_epoch(kind: str, reason: EpochReason) -> None:
    event = raw(kind)
    del event["documentKey"]
    assert normalize(event, "e1", BEFORE_ALL, ALL_FIELDS) == End(reason, "82AB", TS)
    assert kind in ENDS


@pytest.mark.parametrize("kind", ["create", "createIndexes", "modify", "reshardCollection", "brandNew"])
def test_an_unknown_kind_is_named_and_passed_over(kind: str) -> None:
    assert normalize(raw(kind), "e1", BEFORE_ALL, ALL_FIELDS) == Unknown(kind, "82AB")
