"""The fields that filters use, besides an order's id, and how they are compared.

A filter requires exact equality of a field with a string. An array, a number or any other type is not that string, even
if its JSON looks the same, and no collation makes two strings equal. The watcher publishes the deciding fields with
each change, because JSON loses the types: a long integer, a date or an ObjectId is a string there.
"""

from collections.abc import Mapping
from typing import Any

from services.common.stream_spec import ORDERS

FILTER_FIELDS = ORDERS.filter_fields
LONGEST_VALUE = 200  # characters; filters take no longer values


def deciding_fields(document: Mapping[str, Any] | None) -> dict[str, str] | None:
    """Return the fields that a filter can match; None for an unknown document."""
    if document is None:
        return None
    fields = {name: document.get(name) for name in FILTER_FIELDS}
    # Not by isinstance: BSON's code is a subclass of str.
    return {name: value for name, value in fields.items() if type(value) is str and len(value) <= LONGEST_VALUE}
