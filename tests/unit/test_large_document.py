"""A large document is the same JSON whether it is decoded at once or piece by piece, and no piece is large."""

from datetime import UTC, datetime
from time import thread_time
from typing import Any

import bson
import pytest
from bson import DBRef, Decimal128, ObjectId, Regex
from bson.datetime_ms import DatetimeMS

from services.common.documents import CODEC
from services.common.order_json import order_json
from services.common.visible_fields import ALL_FIELDS, VisibleFields
from services.gateway.large_document import PIECE, json_in_pieces
from tests.id_kinds import IDS, nested

_SOME: list[Any] = [
    *IDS,
    [],
    {},
    [[]],
    {"": {}},
    Regex("a", "i"),
    DBRef("orders", 1),
    Decimal128("NaN"),
    DatetimeMS(2**60),
]
DOCUMENTS: dict[str, dict[str, Any]] = {
    "values": {"values": _SOME * 20},
    "fields": {f"field {number}": value for number, value in enumerate(_SOME * 5)},
    "arrays": {"a": [[value] * 500 for value in _SOME], "b": [*range(5_000)], "c": 1},
    "documents": {"a": {f"{n}": {"b": _SOME, "c": [*range(2_000)]} for n in range(10)}, "d": "x" * 50_000, "e": None},
    "a large text first": {"d": "x" * 50_000, "e": [1, "x" * 50_000, 2]},
    "deep": {"a": nested(90), "b": [nested(90)] * 50, "c": [[[["x" * PIECE]]]]},
    "nothing": {},
}


def in_pieces(document: dict[str, Any], visible: VisibleFields = ALL_FIELDS) -> dict[str, Any]:
    return json_in_pieces(bson.encode(document), visible.shows, lambda: None)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_it_is_the_same_as_at_once(name: str) -> None:
    document = DOCUMENTS[name]
    stored: dict[str, Any] = bson.decode(bson.encode(document), CODEC)
    expected = order_json(stored, ALL_FIELDS)
    found = in_pieces(document)
    assert found == expected
    assert [*found] == [*expected]


def test_only_visible_fields_are_there() -> None:
    document = {"_id": ObjectId(), "a": 1, "b": [*range(10_000)], "c": "x", "d": {"e": "x" * 20_000}}
    assert set(in_pieces(document, VisibleFields.parse("a,d"))) == {"_id", "a", "d"}


def test_no_piece_takes_long() -> None:
    document = bson.encode({"days": [datetime(2026, 1, 1, tzinfo=UTC)] * 100_000})
    longest, began = 0.0, thread_time()

    def rest() -> None:
        nonlocal longest, began
        longest, began = max(longest, thread_time() - began), thread_time()

    json_in_pieces(document, ALL_FIELDS.shows, rest)
    assert longest < 0.02
