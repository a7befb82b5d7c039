"""Translates list queries into MongoDB conditions, and filters the results exactly as live filters do."""

import re
from collections.abc import Sequence
from typing import Any

from bson import Decimal128, Int64

from services.common.filter_fields import FILTER_FIELDS
from services.common.ids import parse_id
from services.gateway.filters import is_one_of
from services.gateway.orders import ListQuery
from services.gateway.snapshot import DecodedOrder, Document

_NUMBER_TYPES = {int: "int", Int64: "long", float: "double", Decimal128: "decimal"}
_LONGEST_PATTERN = 4096


def query_conditions(query: ListQuery) -> Document:
    """Return the conditions of a list; each can use an index.

    Arrays are excluded, because to MongoDB an array equals each of its elements.
    """
    conditions = ids_condition(query.id) if query.id else {}
    for name in FILTER_FIELDS:
        if values := getattr(query, name):
            conditions[name] = {"$in": [*values], "$not": {"$type": "array"}}
    return conditions


def ids_condition(ids: Sequence[str]) -> Document:
    """Return the condition that finds the orders with these ids.

    Ids are untrusted and may be subdocuments, which MongoDB takes as values only after `$eq`; after `$in` or bare they
    could be read as operators. MongoDB plans this `$or` like `$in`: one scan of the index.
    """
    conditions: list[Document] = [{"_id": _exactly(parse_id(one))} for one in ids]
    return conditions[0] if len(conditions) == 1 else {"$or": conditions}


def _exactly(value: Any) -> Document:
    """Return the condition for this very value.

    To MongoDB 5 and 5.0 are equal, and so are strings under a collation: a write would change another order than a read
    of the same id shows. `$eq` is what the index is asked for.
    """
    exact: Document = {"$eq": value}
    if type(value) in _NUMBER_TYPES:
        exact["$type"] = _NUMBER_TYPES[type(value)]
    elif type(value) is str and len(value) <= _LONGEST_PATTERN and "\0" not in value:  # a pattern has neither
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
