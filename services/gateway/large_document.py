"""Turns a large BSON document into JSON values piece by piece, for a thread that lets others have turns in between.

To decode 12 MB at once takes the interpreter for a tenth of a second, and Python's own switching between threads comes
too late for whoever waits for an event: every 5 ms, and to any of the threads that wait.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import bson

from services.common.documents import CODEC, Json, json_value, to_json
from services.gateway.bson_element import Element, places

PIECE = 8_192  # bytes of BSON, which take a millisecond or two
_NAP_SECONDS = 0.0001  # long enough for a thread that waits to go on
_DOCUMENT, _ARRAY = 3, 4


class _Run(NamedTuple):
    """Elements that follow each other, and are decoded together."""

    data: bytes


class _Nested(NamedTuple):
    """A document or an array that is a piece itself, or several."""

    name: str
    kind: int
    data: bytes


def json_in_pieces(
    document: bytes, shows: Callable[[str], bool], rest: Callable[[], None] | None = None
) -> dict[str, Json]:
    """Return the fields that are shown, as `to_json` does, and call ``rest`` after each piece; raise InvalidBSON."""
    return _document(document, shows, rest or _nap)


def _document(data: bytes, shows: Callable[[str], bool], rest: Callable[[], None]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for part in _parts(data):
        match part:
            case _Run():
                fields = bson.decode(_framed(part.data), CODEC)
                found |= to_json({name: value for name, value in fields.items() if shows(name)})
                rest()
            case _Nested() if shows(part.name):
                found[part.name] = _nested(part, rest)
    return found


def _array(data: bytes, rest: Callable[[], None]) -> list[Json]:
    found: list[Json] = []
    for part in _parts(data):
        match part:
            case _Run():
                items: list[Any] = Element(_ARRAY, _framed(part.data)).value  # an array's keys count for nothing
                found += map(json_value, items)
                rest()
            case _Nested():
                found.append(_nested(part, rest))
    return found


def _nested(part: _Nested, rest: Callable[[], None]) -> Json:
    return _array(part.data, rest) if part.kind == _ARRAY else _document(part.data, _everything, rest)


def _parts(data: bytes) -> Iterator[_Run | _Nested]:
    """Divide a document into runs of small elements, and large ones that are divided themselves."""
    begin = 4
    for kind, at, value, end in places(data):
        if kind in (_DOCUMENT, _ARRAY) and end - value > PIECE:
            if at > begin:
                yield _Run(data[begin:at])
            yield _Nested(data[at + 1 : value - 1].decode(errors="replace"), kind, data[value:end])
            begin = end
        elif end - begin > PIECE:
            yield _Run(data[begin:end])
            begin = end
    if begin < len(data) - 1:
        yield _Run(data[begin:-1])


def _framed(elements: bytes) -> bytes:
    return (len(elements) + 5).to_bytes(4, "little") + elements + b"\0"


def _everything(_: str) -> bool:
    return True


def _nap() -> None:
    time.sleep(_NAP_SECONDS)
