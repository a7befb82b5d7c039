"""The first orders of a list, sorted as MongoDB sorts values of the types that the tests use."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from operator import itemgetter
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


def first(
    documents: Iterable[Document], sort: str = "-_id", limit: int = 1, skip: int = 0, after: Document | None = None
) -> list[Document]:
    """Return a window of the documents: of all, or of those that come after one, which need not be there any more."""
    field, is_descending = sort.removeprefix("-"), sort.startswith("-")

    def place(document: Document) -> tuple[Any, ...]:
        value = document.get(field)
        if isinstance(value, list):  # they come last, by id
            return not is_descending, key(document["_id"])
        return is_descending, key(value), key(document["_id"])

    placed = [(place(each), each) for each in documents]
    if after is not None:
        top = place(after)
        placed = [each for each in placed if (each[0] < top if is_descending else each[0] > top)]
    placed.sort(key=itemgetter(0), reverse=is_descending)
    return [each for _, each in placed[skip : skip + limit]]
