"""The mark of a page keeps an id of any type, and takes nothing else."""

import base64
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import bson
import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp

from services.gateway.page_mark import MOST_SKIPPED, Below, InvalidMark, PageMark


@pytest.mark.parametrize(
    "id",
    [
        ObjectId("0123456789abcdef01234567"),
        "text",
        "0123456789abcdef01234567",
        "",
        0,
        -5,
        Int64(2**60),
        1.5,
        None,
        True,
        {"region": "eu", "number": 7},
        datetime(2026, 1, 1, tzinfo=UTC),
        Decimal128("1.50"),
        Binary.from_uuid(UUID(int=5)),
        Timestamp(1, 2),
        Regex("^a", "i"),
        MinKey(),
        MaxKey(),
        {"$gt": ""},
    ],
)
def test_an_id_comes_back_as_it_was(id: Any) -> None:
    mark = PageMark.behind(["before", id], None)
    assert mark is not None
    below, skip = PageMark.parse(str(mark))
    assert below is not None
    assert (bson.encode({"": below.id}), skip) == (bson.encode({"": id}), 0)


def nested(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = {"a": value}
    return value


LONG = "x" * 5000


@pytest.mark.parametrize(
    ("ids", "before", "mark"),
    [
        (["a", LONG], None, PageMark(Below("a"), 1)),
        (["a", b"x" * 5000, nested(50)], None, PageMark(Below("a"), 2)),
        (["a", {"x": LONG}], None, PageMark(Below("a"), 1)),
        ([LONG, "a"], None, PageMark(Below("a"), 0)),
        ([LONG, LONG], None, PageMark(None, 2)),
        ([LONG, LONG], PageMark(Below("z"), 3), PageMark(Below("z"), 5)),
        ([LONG], PageMark(None, MOST_SKIPPED - 1), PageMark(None, MOST_SKIPPED)),
        ([LONG], PageMark(None, MOST_SKIPPED), None),
    ],
)
def test_an_id_that_does_not_fit_is_passed_by_counting(
    ids: list[Any], before: PageMark | None, mark: PageMark | None
) -> None:
    assert PageMark.behind(ids, before) == mark
    assert mark is None or PageMark.parse(str(mark)) == mark


@pytest.mark.parametrize("size", range(1480, 1560))
def test_what_is_handed_out_is_taken_back_whatever_its_length(size: int) -> None:
    mark = PageMark.behind(["x" * size], None)
    assert mark is not None
    assert len(str(mark)) < 2100
    assert PageMark.parse(str(mark)) == mark


@pytest.mark.parametrize("levels", range(1, 12))
def test_what_is_handed_out_is_taken_back_whatever_its_depth(levels: int) -> None:
    mark = PageMark.behind([nested(levels)], None)
    assert mark is not None
    assert PageMark.parse(str(mark)) == mark


def in_base64(value: Any) -> str:
    return "~" + base64.urlsafe_b64encode(bson.encode({"": value})).decode()


def array(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "mark",
    [
        *("", "~", "~=", "~AA==", "x", "0" * 23, "~" + "BQAAAAA=", "~\x00", "~é", "~" + "A" * 9999),
        *("0" * 24 + ".", "0" * 24 + ".x", "0" * 24 + ".10001", "0" * 24 + ".-1", "0" * 24 + ".1.1", ".", ".0", ".٣"),
        *(in_base64(nested(20)), in_base64(nested(150)), in_base64(array(20)), in_base64(Code("x", nested(20)))),
        *(in_base64(DBRef("a", nested(20))), in_base64("x" * 2000)),
    ],
)
def test_other_text_is_no_mark(mark: str) -> None:
    with pytest.raises(InvalidMark):
        PageMark.parse(mark)
