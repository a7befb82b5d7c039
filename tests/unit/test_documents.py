"""Any BSON of a document becomes JSON that a browser reads correctly."""

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import bson
import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS
from hypothesis import given
from hypothesis import strategies as st

from services.common.documents import CODEC, Json, dumps, iso, json_value, to_json

ID = ObjectId("0123456789abcdef01234567")


def through_bson(value: Any) -> Json:
    """Return the value as a reader of the change stream gets it, as JSON that went over the wire."""
    document: dict[str, Any] = bson.decode(bson.encode({"v": value}), CODEC)
    found: Json = json.loads(dumps(to_json(document)))["v"]
    return found


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        ("", ""),
        ("ünï\u2028\x00", "ünï\u2028\x00"),
        (True, True),
        (False, False),
        (None, None),
        (0, 0),
        (-7, -7),
        (2**31, 2**31),
        (Int64(5), 5),
        (2**53, 2**53),
        (-(2**53), -(2**53)),
        (2**53 + 1, "9007199254740993"),
        (-(2**53) - 1, "-9007199254740993"),
        (2**63 - 1, "9223372036854775807"),
        (1.5, 1.5),
        (-0.0, 0),
        (5.0, 5),
        (2.0**53, 2**53),
        (2.0**54, 2.0**54),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (math.nan, "NaN"),
        (ID, "0123456789abcdef01234567"),
        (datetime(2026, 1, 2, 3, 4, 5, 678000, UTC), "2026-01-02T03:04:05.678Z"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00.000Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000Z"),
        (datetime(9999, 12, 31, 23, 59, 59, 999000, UTC), "9999-12-31T23:59:59.999Z"),
        (DatetimeMS(2**60), str(2**60)),
        (DatetimeMS(253402300800000), "+010000-01-01T00:00:00.000Z"),
        (DatetimeMS(-62135596800001), "0000-12-31T23:59:59.999Z"),
        (DatetimeMS(-62162121600000), "0000-02-29T00:00:00.000Z"),
        (DatetimeMS(-62167219200001), "-000001-12-31T23:59:59.999Z"),
        (DatetimeMS(-62198755200000), "-000001-01-01T00:00:00.000Z"),
        (DatetimeMS(8_640_000_000_000_000), "+275760-09-13T00:00:00.000Z"),
        (DatetimeMS(-8_640_000_000_000_000), "-271821-04-20T00:00:00.000Z"),
        (DatetimeMS(8_640_000_000_000_001), "8640000000000001"),
        (DatetimeMS(-(2**60)), str(-(2**60))),
        (Decimal128("1.50"), "1.50"),
        (Decimal128("NaN"), "NaN"),
        (Binary(b"\x00\xff"), "AP8="),
        (b"bytes", "Ynl0ZXM="),
        (Binary(b"five", 5), "Zml2ZQ=="),
        (Binary.from_uuid(UUID(int=5)), "00000000-0000-0000-0000-000000000005"),
        (Binary(b"short", 4), "c2hvcnQ="),
        (Timestamp(7, 8), {"$timestamp": {"t": 7, "i": 8}}),
        (Regex("a.c", "i"), {"$regularExpression": {"pattern": "a.c", "options": "i"}}),
        (Code("f()"), {"$code": "f()"}),
        (Code("f()", {"x": 1}), {"$code": "f()", "$scope": {"x": 1}}),
        (Code("f()", {"x": Int64(2**60)}), {"$code": "f()", "$scope": {"x": str(2**60)}}),
        (Code("f()", {"x": [math.nan, {"y": ID}]}), {"$code": "f()", "$scope": {"x": ["NaN", {"y": str(ID)}]}}),
        (Code("f()", {}), {"$code": "f()", "$scope": {}}),
        (DBRef("c", ID), {"$ref": "c", "$id": str(ID)}),
        (
            DBRef("c", Int64(2**60), "d", n=Int64(-(2**60))),
            {"$ref": "c", "$id": str(2**60), "$db": "d", "n": str(-(2**60))},
        ),
        (DBRef("c", DBRef("d", Decimal128("1.5"))), {"$ref": "c", "$id": {"$ref": "d", "$id": "1.5"}}),
        (MinKey(), {"$minKey": 1}),
        (MaxKey(), {"$maxKey": 1}),
        ([1, [2, [ID]], {"a": Int64(2**60)}], [1, [2, [str(ID)]], {"a": str(2**60)}]),
        ({"a": {"b": {"c": math.nan}}, "": 1, "$x.y": None}, {"a": {"b": {"c": "NaN"}}, "": 1, "$x.y": None}),
        ([], []),
        ({}, {}),
    ],
)
def test_each_type_has_its_likeness(value: Any, expected: Json) -> None:
    assert through_bson(value) == expected
    assert type(through_bson(value)) is type(expected)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"\x02v\x00\x03\x00\x00\x00\xff\xfe\x00", "\ufffd\ufffd"),  # a string that is not UTF-8
        (b"\x0ev\x00\x04\x00\x00\x00sym\x00", "sym"),  # symbol, deprecated
        (b"\x06v\x00", None),  # undefined, deprecated
    ],
)
def test_types_that_only_other_programs_write_pass_too(raw: bytes, expected: Json) -> None:
    document: dict[str, Any] = bson.decode((len(raw) + 5).to_bytes(4, "little") + raw + b"\x00", CODEC)
    assert json.loads(dumps(to_json(document))) == {"v": expected}


def test_a_deprecated_pointer_passes_too() -> None:
    raw = b"\x0cv\x00\x02\x00\x00\x00c\x00" + ID.binary
    document: dict[str, Any] = bson.decode((len(raw) + 5).to_bytes(4, "little") + raw + b"\x00", CODEC)
    assert to_json(document) == {"v": {"$ref": "c", "$id": str(ID)}}


def test_of_a_key_that_is_there_twice_the_last_is_shown() -> None:
    raw = b"".join(b"\x10v\x00" + n.to_bytes(4, "little") for n in (1, 2))
    document: dict[str, Any] = bson.decode((len(raw) + 5).to_bytes(4, "little") + raw + b"\x00", CODEC)
    assert to_json(document) == {"v": 2}


def test_a_document_as_deep_as_mongodb_allows_passes() -> None:
    value: Any = ID
    for _ in range(100):
        value = {"d": value}
    assert str(ID) in json.dumps(through_bson(value))


def test_an_unknown_type_becomes_its_text() -> None:
    assert json_value(timedelta(seconds=1)) == "0:00:01"


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 1, 1), "2026-01-01T00:00:00.000Z"),  # noqa: DTZ001 - naive ones are taken as UTC
        (datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=2))), "2025-12-31T23:00:00.000Z"),
        (datetime(2026, 1, 1, 0, 0, 0, 999_999, UTC), "2026-01-01T00:00:00.999Z"),
    ],
)
def test_moments_are_written_in_utc_with_milliseconds(moment: datetime, text: str) -> None:
    assert iso(moment) == text


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text()
    | st.binary()
    | st.builds(ObjectId, st.binary(min_size=12, max_size=12))
    | st.builds(DatetimeMS, st.integers(-(2**63), 2**63 - 1))
    | st.builds(Timestamp, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
    | st.builds(Decimal128, st.decimals(places=3, min_value=-(10**9), max_value=10**9)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])), inner)
    ),
    max_leaves=12,
)


@given(values)
def test_no_document_is_refused_and_no_number_is_read_wrongly(value: Any) -> None:
    def look(plain: Json) -> None:
        match plain:
            case bool() | None | str():
                pass
            case int():
                assert abs(plain) <= 2**53
            case float():
                assert math.isfinite(plain)
            case list():
                for item in plain:
                    look(item)
            case dict():
                for item in plain.values():
                    look(item)

    look(through_bson(value))
