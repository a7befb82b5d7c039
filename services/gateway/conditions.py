"""Translates list queries into MongoDB conditions, and filters the results exactly as live filters do."""

from collections.abc import Sequence

from services.common.filter_fields import FILTER_FIELDS
from services.common.ids import parse_id
from services.gateway.filters import is_one_of
from services.gateway.orders import ListQuery
from services.gateway.snapshot import DecodedOrder, Document


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
    conditions: list[Document] = [{"_id": {"$eq": parse_id(one)}} for one in ids]
    return conditions[0] if len(conditions) == 1 else {"$or": conditions}


def exact_matches(query: ListQuery, found: Sequence[DecodedOrder]) -> Sequence[DecodedOrder]:
    """Compare exactly, as live filters do: with a collation, or across number types, MongoDB matches more than that."""
    wanted = {name: values for name in FILTER_FIELDS if (values := getattr(query, name))}
    if query.id:
        found = [each for each in found if each.id in query.id]
    for name, values in wanted.items():
        found = [each for each in found if is_one_of(each.fields, name, values)]
    return found
