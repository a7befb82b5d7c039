"""The JSON Schemas of what makes a write repeatable, conditional or one of many."""

from typing import Any

from services.gateway.http.order_schema import ID_SCHEMA
from services.gateway.idempotency import LONGEST_KEY

_Schema = dict[str, Any]

# Not `parameters`: to those who test a description, all values of a parameter have to be accepted. But whether a key is
# new, or a tag the current one, no schema can say.
HEADERS = "x-request-headers"
_EXAMPLE = '"56d0a63ffb05c386f129e6fe6819aff7"'
ETAG: _Schema = {
    "description": "The version of the order, a strong entity tag; absent for those who may not read.",
    "schema": {"type": "string", "examples": [_EXAMPLE]},
}
CONDITIONS: list[_Schema] = [
    {
        "name": name,
        "in": "header",
        "description": meaning,
        "schema": {"type": "string", "pattern": r'^(\*|"[!#-~]+"(, "[!#-~]+")*)$', "examples": ["*", _EXAMPLE]},
    }
    for name, meaning in (
        ("If-Match", "Only if the order has one of these entity tags, or for `*` if it is there."),
        ("If-None-Match", "Only if the order has none of these entity tags, or for `*` if it is not there."),
    )
]
_KEY: _Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "A string in double quotes that is new for each request: a request that is repeated with its key "
    "within a day gets the first answer, and is done once.",
    "schema": {
        "type": "string",
        "pattern": r'^"[ !#-\[\]-~]+"$',
        "maxLength": LONGEST_KEY + 2,
        "examples": ['"8e03978e-40d5-43dd-bc93-6894a57f9324"'],
    },
}
CONDITIONS_AND_KEY = [_KEY, *CONDITIONS]
BATCH_RESULT: _Schema = {
    "type": "object",
    "title": "BatchResult",
    "required": ["results"],
    "properties": {
        "results": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["operation", "id"],
                "properties": {
                    "operation": {"enum": ["INSERT", "UPDATE", "DELETE"]},
                    "id": ID_SCHEMA,
                    "order": {
                        "$ref": "#/components/schemas/Order",
                        "description": "The order after the write, or as it was before it was deleted; absent for "
                        "those who may not read.",
                    },
                },
            },
        },
    },
}
