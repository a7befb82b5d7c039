"""The mark of a page keeps an id of any type, and takes nothing else."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import bson
import pytest
from bson import Binary, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp

from services.gateway.page_mark import InvalidMark, marked_id, page_mark


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
    assert bson.encode({"": marked_id(page_mark(id))}) == bson.encode({"": id})


@pytest.mark.parametrize(
    "mark", ["", "~", "~=", "~AA==", "x", "0" * 23, "~" + "BQAAAAA=", "~\x00", "~é", "~" + "A" * 9999]
)
def test_other_text_is_no_mark(mark: str) -> None:
    with pytest.raises(InvalidMark):
        marked_id(mark)
