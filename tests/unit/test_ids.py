"""Every `_id` has one text, no two have the same, and each text is taken back as the `_id` that it came from."""

import base64
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote
from uuid import UUID

import bson
import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Timestamp
from bson.datetime_ms import DatetimeMS
from hypothesis import given
from hypothesis import strategies as st

from services.common.documents import CODEC
from services.common.ids import InvalidId, canonical, id_text, parse_id

HEX = "0123456789abcdef01234567"
NAMED = UUID("01234567-89ab-cdef-0123-456789abcdef")

TEXTS: list[tuple[Any, str]] = [
    (ObjectId(HEX), HEX),
    (HEX, f"~s{HEX}"),
    (HEX.upper(), f"~s{HEX.upper()}"),
    ("A-17", "A-17"),
    ("Käse & Brot/7", "Käse & Brot/7"),
    ("5", "5"),
    (5, "~i5"),
    (Int64(5), "~l5"),
    (5.0, "~d5.0"),
    (-0.0, "~d-0.0"),
    (1e300, "~d1e+300"),
    (Int64(2**60), f"~l{2**60}"),
    (str(NAMED), str(NAMED)),
    (Binary.from_uuid(NAMED), f"~u{NAMED}"),
    ("~i5", "~s~i5"),
    ("", "~s"),
    ("..", "~s.."),
    ("events", "~sevents"),
    ("2026/001?a#b%2F", "2026/001?a#b%2F"),
    ("a..b", "a..b"),
]
OTHERS: list[Any] = [
    float("nan"),
    float("inf"),
    None,
    True,
    False,
    "true",
    "null",
    "line\nbreak",
    *("../x", "x/..", "a/./b", "/"),
    "\x00",
    {"a": 1, "b": 2},
    {"b": 2, "a": 1},
    {"$gt": ""},
    datetime(2026, 1, 1, tzinfo=UTC),
    DatetimeMS(2**60),
    "2026-01-01T00:00:00.000Z",
    Decimal128("1.50"),
    Decimal128("1.5"),
    "1.5",
    b"abc",
    Binary(b"abc", 128),
    Timestamp(1, 2),
    Code("f()"),
    DBRef("orders", 1),
    MinKey(),
    MaxKey(),
]


def stored(value: Any) -> bytes:
    return bson.encode({"": value}, codec_options=CODEC)


@pytest.mark.parametrize(("value", "text"), TEXTS)
def test_usual_ids_stay_readable(value: Any, text: str) -> None:
    assert id_text(value) == text


@pytest.mark.parametrize("value", [value for value, _ in TEXTS] + OTHERS)
def test_an_id_comes_back_as_it_was_through_a_url(value: Any) -> None:
    assert stored(parse_id(unquote(quote(id_text(value), safe="")))) == stored(value)


def test_no_two_ids_have_the_same_text() -> None:
    values = [value for value, _ in TEXTS] + OTHERS
    assert len({id_text(value) for value in values}) == len(values)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**31), 2**31 - 1),
    st.integers(-(2**63), 2**63 - 1).map(Int64),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.from_regex(r"~[a-z][0-9a-f.-]{0,8}|[0-9a-fA-F]{24}", fullmatch=True),
    st.binary(max_size=12),
    st.binary(min_size=12, max_size=12).map(ObjectId),
    st.uuids().map(Binary.from_uuid),
)
VALUES = st.one_of(SCALARS, st.dictionaries(st.text("ab$", min_size=1, max_size=2), SCALARS, max_size=3))


@given(VALUES, VALUES)
def test_ids_have_equal_texts_exactly_where_they_are_equal(one: Any, other: Any) -> None:
    assert (id_text(one) == id_text(other)) == (stored(one) == stored(other))
    assert stored(parse_id(id_text(one))) == stored(one)


@given(st.text(st.sampled_from("~ildusb0159aAeE.+-="), max_size=30))
def test_a_text_is_refused_or_names_one_id(text: str) -> None:
    try:
        value = parse_id(text)
    except InvalidId:
        return
    assert id_text(value) == canonical(text)
    assert canonical(text) == text or ObjectId(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "events",
        "../x",
        "a\n",
        "\ud800",
        "~s\ud800.",
        "~",
        "~=",
        "~x5",
        "~i",
        "~i05",
        "~i-0",
        "~i+5",
        "~i٥",
        "~i2147483648",
        "~l9223372036854775808",
    ]
    + ["~d1", "~d1.50", "~dnan", "~u01234567", f"~u{NAMED.hex}", "~splain", f"~s{HEX[1:]}", "~b", "~b=", "~bAA=="]
    + ["~bBQAAAAA", "~b\x00", "~bé", "~b" + "A" * 99_999]
    + [f"~b{name}" for name in ("CwAAAARhAAUAAAAAAA", "DAAAAAsAYQBpAAAA")]  # an array, a regular expression
    + ["~bDgAAABAABQAAAAAA"],  # a number that has a text of its own
)
def test_other_text_is_no_id(text: str) -> None:
    with pytest.raises(InvalidId):
        parse_id(text)


def test_the_digits_of_an_object_id_may_be_in_upper_case() -> None:
    assert parse_id(HEX.upper()) == ObjectId(HEX)
    assert canonical(HEX.upper()) == HEX


def nested(levels: int, innermost: Any = 1) -> Any:
    for _ in range(levels):
        innermost = {"a": innermost}
    return innermost


def test_an_id_may_have_as_many_levels_as_mongodb_stores() -> None:
    assert parse_id(id_text(nested(180))) == nested(180)


@pytest.mark.parametrize("value", [nested(181), nested(100, {"b": Code("f()", nested(100))}), DBRef("a", nested(190))])
def test_an_id_of_more_levels_than_mongodb_stores_is_refused(value: Any) -> None:
    with pytest.raises(InvalidId):
        parse_id(id_text(value))


def test_a_text_that_no_document_could_be_made_of_is_refused() -> None:
    raw: bytes = b"\x05\x00\x00\x00\x00"
    for _ in range(1100):
        raw = (len(raw) + 7).to_bytes(4, "little") + b"\x03\x00" + raw + b"\x00"
    with pytest.raises(InvalidId):
        parse_id("~b" + base64.urlsafe_b64encode(raw).decode().rstrip("="))
