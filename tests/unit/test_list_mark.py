"""A mark of a sorted list holds the key as it is stored, fits into a header, and is taken back only as it was given."""

import base64
import random
from datetime import datetime
from typing import Any

import bson
import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp

from services.gateway.bson_element import MISSING, Element, comparison, element
from services.gateway.list_mark import KeyMark, Place, is_key_mark
from services.gateway.page_mark import MAX_SKIPPED, InvalidMark

VALUES: list[Any] = [
    *["", "Ada", "ünï\U0001f600", 5, Int64(5), 1.5, float("inf"), Decimal128("1.10"), True, None, ObjectId(b"x" * 12)],
    *[datetime(2026, 1, 1), {"a": [1, {"b": 2}]}, [1, [2]], Binary(b"abc", 5), b"abc", Timestamp(1, 2), MinKey()],  # noqa: DTZ001
    *[MaxKey(), Regex("a", "im"), Code("x"), Code("x", {"y": 1}), DBRef("c", 1)],
]
KEY = Element(2, b"\x04\0\0\0Ada\0")


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_an_element_is_found_among_others_and_compared_as_it_is(value: Any) -> None:
    others: dict[str, Any] = {f"n{number}": each for number, each in enumerate(VALUES)}
    random.Random(1).shuffle(VALUES)
    found = element(bson.encode({**others, "wanted": value, "last": 1}), "wanted")
    assert comparison("$gt", found).raw == bson.encode({"$gt": value})
    assert found.value == bson.decode(bson.encode({"": value}))[""]
    assert element(bson.encode(others), "wanted") == MISSING


@pytest.mark.parametrize("value", [one for one in VALUES if not isinstance(one, list)], ids=repr)
def test_a_mark_is_read_as_it_was_written(value: Any) -> None:
    key = element(bson.encode({"wanted": value}), "wanted")
    mark = KeyMark("-updated_at", Place(1, key, "~i5"), 3)
    assert is_key_mark(str(mark))
    assert KeyMark.parse(str(mark)) == mark
    assert len(str(mark)) < 300


def test_a_key_that_does_not_fit_is_marked_by_the_last_one_that_does() -> None:
    long, short = Place(0, Element(2, b"x" * 821), "a"), Place(0, KEY, "b")
    named = Place(0, KEY, "x" * 301)
    assert KeyMark.beyond("status", [short, long, named], None) == KeyMark("status", short, 2)
    assert KeyMark.beyond("status", [long], KeyMark("status", short, 2)) == KeyMark("status", short, 3)
    assert KeyMark.beyond("status", [long], None) == KeyMark("status", None, 1)
    assert KeyMark.beyond("status", [long], KeyMark("status", None, MAX_SKIPPED)) is None
    assert len(str(KeyMark("-product_name", Place(0, Element(2, b"x" * 820), "x" * 300), 9_999))) < 1_700


def forged(**fields: Any) -> str:
    usual = {"s": "status", "n": 0, "p": 0, "i": "a", "v": "x"}
    packed = {name: value for name, value in (usual | fields).items() if value is not ...}
    return "~~k" + base64.urlsafe_b64encode(bson.encode(packed)).decode().rstrip("=")


def nested(levels: int) -> Any:
    return {"a": nested(levels - 1)} if levels else 1


@pytest.mark.parametrize(
    "text",
    [
        *["~~k", "~~k!", "~~kAAAA", "~~k" + "A" * 5_000, str(KeyMark("status", None, 1)) + "A"],
        *[forged(s=5), forged(n=-1), forged(n="1"), forged(n=10_001), forged(p=4), forged(p="0"), forged(p=...)],
        *[forged(i="~i05"), forged(i=5), forged(v=[1]), forged(s=...), forged(more=1), forged(n=True)],
        *[forged(v="x" * 821), forged(i="x" * 301), forged(v=nested(300))],  # MongoDB takes no such depth
    ],
)
def test_a_mark_that_no_list_gave_out_is_refused(text: str) -> None:
    with pytest.raises(InvalidMark):
        KeyMark.parse(text)
