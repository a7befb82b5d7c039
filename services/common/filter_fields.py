"""What a filter looks at, besides an order's id, and what it means there.

A filter asks for exact equality of a field with a string. An array, a number or any other type is not that string, even
where its JSON looks the same, and no collation makes two strings equal. The watcher publishes what decides with each
change, because JSON no longer tells it: a long integer, a date or an ObjectId is a string there.
"""

from collections.abc import Mapping
from typing import Any

from services.common.stream_spec import ORDERS

FILTER_FIELDS = ORDERS.filter_fields
LONGEST_VALUE = 200  # characters; no filter asks for a longer one


def deciding_fields(document: Mapping[str, Any] | None) -> dict[str, str] | None:
    """Return those fields that a filter can fit, None of a document that nobody knows."""
    if document is None:
        return None
    fields = {name: document.get(name) for name in FILTER_FIELDS}
    # Not by isinstance: BSON's code is a str to Python.
    return {name: value for name, value in fields.items() if type(value) is str and len(value) <= LONGEST_VALUE}
