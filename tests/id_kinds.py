"""Ids of every kind that MongoDB stores, with their lookalikes, all of which may be in one collection."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Timestamp
from bson.datetime_ms import DatetimeMS

_HEX = "0123456789abcdef01234567"
_UUID = UUID("01234567-89ab-cdef-0123-456789abcdef")


def nested(levels: int) -> Any:
    """Return a document that holds a document, and so on, so many levels deep."""
    value: Any = "x"
    for _ in range(levels):
        value = {"a": value}
    return value


IDS: list[Any] = [
    *(ObjectId(_HEX), _HEX, _HEX.upper(), ObjectId("f" * 24)),
    *(5, "5", "~i5", "~s5", Int64(6), "6", Int64(2**60), str(2**60), 1.5, "1.5", Decimal128("2.50"), "2.50", 1e300),
    *(float("nan"), "NaN", float("inf"), "Infinity", None, "null", True, "true", False, "false"),
    *(datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00.000Z", DatetimeMS(2**60), Timestamp(1, 2)),
    *(Binary.from_uuid(_UUID), str(_UUID), Binary(_UUID.bytes, 3), b"abc", "YWJj", Binary(b"abc", 128)),
    *({"a": 1, "b": 2}, {"b": 2, "a": 1}, '{"a":1,"b":2}', {}, {"a": [1, {"$ref": "x", "$id": 1}]}, nested(150)),
    *(DBRef("orders", 1), Code("f()"), "f()", Code("f()", {"a": 1}), MinKey(), MaxKey(), "$status", "$gt"),
    *("", ".", "..", "../x", "a/../../b", "events", "x.events", "a/b", "a//b", "/", "\\", "a?b", "a#b", "%", "%2F"),
    *("x" * 6000, "ü" * 2500),
    *("a b", " ", "a+b", "a&b=c", 'a"b', "<a>", "a;b", "~", "~~1.a", "ünï", "🦊", "\u202e", "a\nb", "\x00", "\x7f"),
]
