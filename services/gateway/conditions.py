"""Translates interests and rights into MongoDB conditions, and filters lists exactly as live filters do."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bson import Decimal128, Int64

from services.common.filter_fields import FILTER_FIELDS
from services.common.ids import parse_id
from services.gateway.audience import Rights
from services.gateway.decoded_order import DecodedOrder
from services.gateway.filters import EVERYTHING, Filter, Interest, is_one_of
from services.gateway.list_query import ListQuery
from services.gateway.snapshot_read import Document

_NUMBER_TYPES = {int: "int", Int64: "long", float: "double", Decimal128: "decimal"}
LONGEST_PATTERN = 4096


def interest_conditions(interest: Interest) -> Document:
    """Return the conditions of the orders that fit any of these filters; each can use an index.

    Arrays are excluded, because to MongoDB an array equals each of its elements. Where a collation makes the conditions
    find more than that, the results must be compared again.
    """
    ways = [_indexed(each) for each in sorted(interest, key=repr)]
    if {} in ways:
        return {}
    return ways[0] if len(ways) == 1 else {"$or": ways} if ways else _NOTHING


def _indexed(wanted: Filter) -> Document:
    conditions = {} if wanted.ids is None else ids_condition(wanted.ids)
    for name in FILTER_FIELDS:
        values: Sequence[str] | None = getattr(wanted, name)
        if values is not None:
            conditions[name] = {"$in": [*values], "$not": {"$type": "array"}}
    return conditions


def ids_condition(ids: Sequence[str]) -> Document:
    """Return the condition that finds the orders with these ids.

    Ids are untrusted and may be subdocuments, which MongoDB takes as values only after `$eq`; after `$in` or bare they
    could be read as operators. MongoDB plans this `$or` like `$in`: one scan of the index.
    """
    conditions: list[Document] = [{"_id": _exactly(parse_id(one))} for one in ids]
    return conditions[0] if len(conditions) == 1 else {"$or": conditions}


def permitted(condition: Document, rights: Rights, changed: Mapping[str, str] | None = None) -> Document:
    """Restrict a condition to the orders of these rights; with ``changed``, to those that are so once it is written.

    It is exact under any collation, because a write is decided by it alone.
    """
    if rights == EVERYTHING:
        return condition
    ways = [way for each in rights if (way := _fits(each, changed or {})) is not None]
    if {} in ways:
        return condition
    return {"$and": [condition, {"$or": ways} if ways else _NOTHING]}


_NOTHING: Document = {"_id": {"$in": []}}


def _fits(wanted: Filter, changed: Mapping[str, str]) -> Document | None:
    """Return the condition for the orders that fit, or None where none does."""
    conditions = [] if wanted.ids is None else [ids_condition(wanted.ids)]
    for name in FILTER_FIELDS:
        values: Sequence[str] | None = getattr(wanted, name)
        if values is None:
            continue
        if name not in changed:
            conditions.append({name: exactly_one_of(values)})
        elif changed[name] not in values:
            return None
    return {"$and": conditions} if conditions else {}


def exactly_one_of(values: Sequence[str]) -> Document:
    """Return the condition for a string that is one of these: found by `$in` in an index, and compared by the pattern.

    No collation applies to a pattern. Arrays are excluded, because to MongoDB an array equals each of its elements.
    """
    pattern = "|".join(map(re.escape, values))
    return {"$in": [*values], "$not": {"$type": "array"}, "$regex": rf"\A(?:{pattern})\z"}


def _exactly(value: Any) -> Document:
    """Return the condition for this very value.

    To MongoDB 5 and 5.0 are equal, and so are strings under a collation: a write would change another order than a read
    of the same id shows. `$eq` is what the index is asked for.
    """
    exact: Document = {"$eq": value}
    if type(value) in _NUMBER_TYPES:
        exact["$type"] = _NUMBER_TYPES[type(value)]
    elif type(value) is str and len(value) <= LONGEST_PATTERN and "\0" not in value:  # a pattern has neither
        exact["$regex"] = rf"\A{re.escape(value)}\z"  # which no collation applies to
    return exact


def exact_matches(query: ListQuery, found: Sequence[DecodedOrder]) -> Sequence[DecodedOrder]:
    """Compare exactly, as live filters do: with a collation, or across number types, MongoDB matches more than that."""
    wanted = {name: values for name in FILTER_FIELDS if (values := getattr(query, name))}
    if query.id:
        found = [each for each in found if each.id in query.id]
    for name, values in wanted.items():
        found = [each for each in found if is_one_of(each.fields, name, values)]
    return found
