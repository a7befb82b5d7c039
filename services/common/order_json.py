"""Turns an order from MongoDB into the JSON of events and REST responses."""

from collections.abc import Mapping
from typing import Any

from services.common.documents import Json, to_json
from services.common.ids import id_text
from services.common.visible_fields import VisibleFields


def order_json(document: Mapping[str, Any], visible: VisibleFields) -> dict[str, Json]:
    """Return the visible part of a document as JSON values.

    ``_id`` is the text that names the order in events, URLs and filters.
    """
    order = to_json(visible.of(document))
    if "_id" in order:
        order["_id"] = id_text(document["_id"])
    return order
