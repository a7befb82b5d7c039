"""The JSON Schemas of an order and of its id, as all descriptions of the API have them."""

from typing import Any

from services.common.ids import COMMON_IDS

_Schema = dict[str, Any]

ID_SCHEMA: _Schema = {"type": "string", "minLength": 1, "examples": ["6b0344aaff000000000000ab", "Order-7", "~i5"]}
SENT_ID_SCHEMA: _Schema = {
    **ID_SCHEMA,
    "pattern": COMMON_IDS,
    "description": "Ids of rarer types have other texts, as lists and events give them: `~d1.5`, `~b…`.",
}
ORDER_SCHEMA: _Schema = {
    "type": "object",
    "title": "Order",
    "description": "Orders that other programs wrote may lack fields, have more, and have any type in them.",
    "required": ["_id"],
    "properties": {
        "_id": {
            **ID_SCHEMA,
            "description": "Identifies the order in URLs, filters and events; unique. 24 hexadecimal digits, unless "
            "another program chose a different id: a string stands for itself, and ids that could be mistaken for "
            "others are marked with `~` (`~i5` is the number 5).",
        },
        "customer_name": {"description": "The customer.", "examples": ["John Doe"]},
        "product_name": {"description": "The ordered product.", "examples": ["Laptop"]},
        "status": {"description": "`pending`, `shipped` or `delivered`.", "examples": ["pending"]},
        "updated_at": {"description": "Last change, ISO 8601 UTC.", "examples": ["2026-01-01T00:00:00.000Z"]},
    },
}
