"""Takes one field out of a BSON document as its bytes, with its type, and puts such bytes into a condition.

Decoded values lose what a sort needs: types that are the same in Python (`undefined` and null, symbols and strings),
and text that is not UTF-8.
"""

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import bson
from bson.errors import InvalidBSON
from bson.raw_bson import RawBSONDocument

from services.common.documents import CODEC

_FIXED = {1: 8, 6: 0, 7: 12, 8: 1, 9: 8, 10: 0, 16: 4, 17: 8, 18: 8, 19: 16, 127: 0, 255: 0}
_LENGTH = struct.Struct("<i")


class Element(NamedTuple):
    """A value: its BSON type, and its bytes."""

    type: int
    data: bytes

    @property
    def value(self) -> Any:
        """The value as Python knows it, which may be less than what is stored."""
        return bson.decode(_document("", self), CODEC)[""]

    @property
    def known(self) -> Any:
        """The same, or its bytes where it cannot be decoded."""
        try:
            return self.value
        except InvalidBSON:
            return self.data


MISSING = Element(10, b"")  # which MongoDB sorts as null


def element(document: bytes, name: str) -> Element:
    """Return the field of a document, or MISSING."""
    wanted = name.encode()
    return next((found for field, found in _elements(document) if field == wanted), MISSING)


def whole(document: bytes) -> dict[str, Any]:
    """Return all fields of a document as Python knows them.

    MongoDB stores values that the driver does not decode: one of them must not take along all lists that its order is
    in. The field that has it is shown as the bytes of its value.
    """
    try:
        return bson.decode(document, CODEC)
    except InvalidBSON:
        return {field.decode(errors="replace"): found.known for field, found in _elements(document)}


def places(document: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Give the type of each element, and where it begins, where its value begins, and where it ends."""
    at, end = 4, len(document) - 1
    while at < end:
        kind = document[at]
        first = document.index(b"\0", at + 1) + 1
        last = first + _size(document, kind, first)
        yield kind, at, first, last
        at = last


def _elements(document: bytes) -> Iterator[tuple[bytes, Element]]:
    for kind, at, first, last in places(document):
        yield document[at + 1 : first - 1], Element(kind, document[first:last])


def _size(document: bytes, kind: int, at: int) -> int:
    fixed = _FIXED.get(kind)
    if fixed is not None:
        return fixed
    if kind == 11:  # two texts, each with a zero byte at its end
        return document.index(b"\0", document.index(b"\0", at) + 1) + 1 - at
    length: int = _LENGTH.unpack_from(document, at)[0]
    if kind in (2, 13, 14):
        return 4 + length
    if kind == 5:
        return 5 + length
    if kind == 12:
        return 16 + length
    return length  # documents, arrays, code with scope: their length counts itself


def comparison(operator: str, value: Element) -> RawBSONDocument:
    """Return ``{operator: value}`` with the very value."""
    return RawBSONDocument(_document(operator, value))


def _document(name: str, value: Element) -> bytes:
    body = bytes([value.type]) + name.encode() + b"\0" + value.data + b"\0"
    return _LENGTH.pack(len(body) + 4) + body
