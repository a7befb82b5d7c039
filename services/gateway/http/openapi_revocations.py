"""The part of the OpenAPI document that describes revocations."""

from services.gateway.edge.tokens import LONGEST_SUBJECT, LONGEST_TOKEN_ID
from services.gateway.http.openapi_answers import Schema, problems
from services.gateway.http.revocation_input import DEFAULT_PAGE, LARGEST_PAGE
from services.gateway.revocations import MOST_REVOCATIONS

_ONLY = "For operators, with the scope `orders:admin`."
_TIME = {"type": "string", "format": "date-time"}
_WHAT: Schema = {
    "subject": {
        "type": "string",
        "minLength": 1,
        "maxLength": LONGEST_SUBJECT,
        "description": "All tokens with this `sub`.",
    },
    "token_id": {
        "type": "string",
        "minLength": 1,
        "maxLength": LONGEST_TOKEN_ID,
        "description": "The token with this `jti`.",
    },
    "issued_before": {
        **_TIME,
        "description": "Only the subject's tokens with an earlier `iat`, or with none: later ones stay good.",
    },
}
REVOCATION_SCHEMAS: dict[str, Schema] = {
    "NewRevocation": {
        "type": "object",
        "title": "NewRevocation",
        "description": "Exactly one of `subject` and `token_id`.",
        "oneOf": [{"required": ["subject"]}, {"required": ["token_id"]}],
        "dependentRequired": {"issued_before": ["subject"]},
        "additionalProperties": False,
        "properties": _WHAT,
    },
    "Revocation": {
        "type": "object",
        "title": "Revocation",
        "required": ["id", "revoked_at", "until"],
        "properties": {
            "id": {"type": "string", "description": "By which it can be lifted."},
            **_WHAT,
            "revoked_at": _TIME,
            "until": {**_TIME, "description": "How long it is remembered: longer than any token lives."},
        },
    },
}
_REVOCATION = {"$ref": "#/components/schemas/Revocation"}


def revocation_paths() -> dict[str, Schema]:
    """Return the paths."""
    parameters = [
        {
            "name": "limit",
            "in": "query",
            "description": "How many at most.",
            "schema": {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE, "default": DEFAULT_PAGE},
        },
        {
            "name": "after",
            "in": "query",
            "description": "Continue below the revocation with this id; the `Link` of the previous page has it.",
            "schema": {"type": "string", "pattern": "^[0-9a-f]{24}$"},
        },
    ]
    link = {"description": '`rel="next"` leads to the page below; absent on the last.', "schema": {"type": "string"}}
    one = {"name": "id", "in": "path", "required": True, "description": "Its `id`.", "schema": {"type": "string"}}
    listed = {**_answer("One page of them.", {"type": "array", "items": _REVOCATION}), "headers": {"Link": link}}
    return {
        "/api/admin/revocations": {
            "get": {
                "operationId": "listRevocations",
                "summary": "List the revocations that apply, newest first",
                "description": _ONLY,
                "parameters": parameters,
                "responses": {"200": listed, **problems("422")},
            },
            "post": {
                "operationId": "revoke",
                "summary": "Revoke a subject or a token",
                "description": f"{_ONLY} Every connection of it is told `ended` with `token_revoked` and closed within "
                f"a second, at all replicas, and every request is refused from then on. {MOST_REVOCATIONS} are "
                "remembered at once; then the answer is 503.",
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewRevocation"}}},
                },
                "responses": {
                    "201": _answer("The revocation as stored.", _REVOCATION),
                    **problems("400", "408", "413", "415", "422"),
                },
            },
        },
        "/api/admin/revocations/{id}": {
            "parameters": [one],
            "delete": {
                "operationId": "liftRevocation",
                "summary": "Lift a revocation",
                "description": f"{_ONLY} Tokens that it refused are good again.",
                "responses": {"200": _answer("The revocation as it was.", _REVOCATION), **problems("404")},
            },
        },
    }


def _answer(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
