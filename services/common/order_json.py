"""Turns an order from MongoDB into the JSON of events and REST responses."""

from collections.abc import Mapping
from typing import Any

from services.common.documents import Json, to_json
from services.common.ids import id_text


def order_json(document: Mapping[str, Any]) -> dict[str, Json]:
    """Return the document as JSON values; ``_id`` is the text that names the order in events, URLs and filters."""
    order = to_json(document)
    if "_id" in order:
        order["_id"] = id_text(document["_id"])
    return order
