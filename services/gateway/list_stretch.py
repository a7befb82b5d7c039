"""Divides a sorted list into stretches, each of which MongoDB reads from one index in order.

A page that begins at an order goes on with the orders of an equal key, then with greater keys of the same type (to
MongoDB, `$gt` is a question about one type only), then with the types that follow. Orders with an array in the field
come last, by id: MongoDB sorts an array by its least or its greatest element, but finds it by all of them.
"""

import math
from collections.abc import Iterator
from enum import Enum
from typing import Any, NamedTuple

from services.common.ids import parse_id
from services.gateway.bson_element import Element, comparison
from services.gateway.list_mark import Place
from services.gateway.snapshot_read import Document

NOT_ARRAY: Document = {"$not": {"$type": "array"}}
# The types in the order in which MongoDB sorts them; those of one row are compared with each other.
_MIN, _UNDEFINED, _NULL, _NUMBERS, _TEXTS = (-1,), (6,), (10,), (1, 16, 18, 19), (2, 14)
_ORDER = (
    _MIN,
    _UNDEFINED,
    _NULL,
    _NUMBERS,
    _TEXTS,
    (3,),
    (5,),
    (7,),
    (8,),
    (9,),
    (17,),
    (11,),
    (12,),
    (13,),
    (15,),
    (127,),
)
_OF_ONE_VALUE = (_MIN, _UNDEFINED, _NULL, (127,))
_NOT_COMPARED = (
    (11,),
    (12,),
    (13,),
    (15,),
)  # `$gt` takes no regular expression; of these, only `$expr` knows the order
_NAN = Element(1, bytes.fromhex("000000000000f87f"))
_LEAST_NUMBER = Element(1, bytes.fromhex("000000000000f0ff"))  # -Infinity; only NaN is below it


class Shape(Enum):
    """What a part of a list has."""

    WHOLE = "whole"  # all orders, but those with arrays
    ARRAYS = "arrays"
    RANGE = "range"  # those within bounds, of one type


class ListPart(NamedTuple):
    """A part of a list: sorted by ``field`` and then by id; with arrays, by id."""

    shape: Shape
    field: str
    bounds: Document = {}  # noqa: RUF012 - never changed

    def matches(self, *, has_arrays: bool = True) -> list[Document]:
        """Return the conditions for the orders of this part; not ``has_arrays``: no order has one in this field."""
        if self.shape is Shape.ARRAYS:
            return [{self.field: {"$type": "array"}}]
        conditions = {**self.bounds, **(NOT_ARRAY if has_arrays and self.field != "_id" else {})}
        return [{self.field: conditions}] if conditions else []


class Stretch(NamedTuple):
    """What MongoDB is asked: orders with these conditions, in this order."""

    conditions: list[Document]
    sort: dict[str, int]


class _Condition(NamedTuple):
    conditions: list[Document]
    is_null: bool


def stretches(part: ListPart, place: Place | None, *, is_descending: bool, is_merged: bool) -> Iterator[Stretch]:
    """Give the stretches of a part, beyond an order in it or from its beginning.

    ``is_merged``: MongoDB merges what it finds for several conditions. There it takes a missing field for less than
    null, while in an index they are equal: so these are a stretch of their own.
    """
    direction = -1 if is_descending else 1
    by_id = {"_id": direction}
    operator = "$lt" if is_descending else "$gt"
    beyond_id: list[Document] = (
        [] if place is None else [{"$expr": {operator: ["$_id", {"$literal": parse_id(place.id)}]}}]
    )
    if part.shape is Shape.ARRAYS or part.field == "_id":
        yield Stretch([*part.matches(), *beyond_id], by_id)
        return
    sort = {part.field: direction, **by_id}
    if place is None:
        if is_merged and part.shape is Shape.WHOLE:
            every = _of_rows(part.field, _ORDER[::direction])
        else:
            every = iter([_Condition([], is_null=False)])
    else:
        yield Stretch([*part.matches(), *_equal(part.field, place.value), *beyond_id], by_id)
        every = _beyond(part.field, place.value, is_descending=is_descending)
    for condition, is_null in every:
        yield Stretch([*part.matches(), *condition], by_id if is_null else sort)
        if part.shape is Shape.RANGE:
            return  # its bounds are of one type


def _equal(field: str, value: Element) -> list[Document]:
    types = _types(value)
    if types == _NULL:
        return _null(field)
    if types in _OF_ONE_VALUE:
        return [{field: {"$type": [*types]}}]
    if types in _NOT_COMPARED:
        return _by_expression(field, "$eq", value, types)
    return [{field: comparison("$eq", value)}]


def _beyond(field: str, value: Element, *, is_descending: bool) -> Iterator[_Condition]:
    """Give the conditions for what comes after this value, in the order in which it comes."""
    types = _types(value)
    operator = "$lt" if is_descending else "$gt"
    if _is_nan(value):
        if not is_descending:
            yield _Condition([{field: comparison("$gte", _LEAST_NUMBER)}], is_null=False)
    elif types in _NOT_COMPARED:
        yield _Condition(_by_expression(field, operator, value, types), is_null=False)
    elif types not in _OF_ONE_VALUE:
        yield _Condition([{field: comparison(operator, value)}], is_null=False)
        if types == _NUMBERS and is_descending:  # to MongoDB nothing is less than a number and NaN nothing at all
            yield _Condition([{field: comparison("$eq", _NAN)}], is_null=False)
    at = _ORDER.index(types)
    yield from _of_rows(field, _ORDER[:at][::-1] if is_descending else _ORDER[at + 1 :])


def _of_rows(field: str, rows: tuple[tuple[int, ...], ...]) -> Iterator[_Condition]:
    if _NULL not in rows:
        yield from _of_types(field, rows)
        return
    null = rows.index(_NULL)
    yield from _of_types(field, rows[:null])
    yield _Condition(_null(field), is_null=True)
    yield from _of_types(field, rows[null + 1 :])


def _of_types(field: str, rows: tuple[tuple[int, ...], ...]) -> Iterator[_Condition]:
    if rows:
        yield _Condition([{field: {"$type": [each for row in rows for each in row]}}], is_null=False)


def _null(field: str) -> list[Document]:
    # Missing fields, too, as MongoDB sorts them. Some versions take `undefined` for null here, but sort it before.
    return [{field: {"$eq": None, "$not": {"$type": [6, "array"]}}}]


def _by_expression(field: str, operator: str, value: Element, types: tuple[int, ...]) -> list[Document]:
    expression: Any = [f"${field}", comparison("$literal", value)]
    return [{field: {"$type": [*types]}}, {"$expr": {operator: expression}}]


def _types(value: Element) -> tuple[int, ...]:
    kind = -1 if value.type == 255 else value.type
    return next(row for row in _ORDER if kind in row)


def _is_nan(value: Element) -> bool:
    if value.type == 1:
        return math.isnan(value.value)
    return value.type == 19 and bool(value.value.to_decimal().is_nan())
