"""The schemas of the OpenAPI document that no model generates: the stream's events, the past, tickets, problems."""

from typing import Any

from services.gateway.edge.cookies import SESSION_COOKIE
from services.gateway.http.events import EVENTS, SSE
from services.gateway.http.order_schema import ID_SCHEMA

_Schema = dict[str, Any]

# What an event of the stream may be about.
PAYLOADS = sorted({event.payload for event in EVENTS if SSE in event.over})
EVENT: _Schema = {
    "type": "object",
    "description": "One event.",
    "required": ["data"],
    "properties": {
        "id": {"type": "string", "description": "Its cursor."},
        "event": {"type": "string", "description": "Its name."},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"anyOf": [{"$ref": f"#/components/schemas/{payload}"} for payload in PAYLOADS]},
        },
    },
}
HISTORY: _Schema = {
    "type": "object",
    "title": "History",
    "required": ["id", "changes", "complete_since", "complete_since_at"],
    "properties": {
        "id": ID_SCHEMA,
        "changes": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["operation", "cursor", "at", "fields"],
                "properties": {
                    "operation": {"enum": ["INSERT", "UPDATE", "DELETE"]},
                    "cursor": {"type": "string", "description": "That of the event which told of the change."},
                    "at": {"type": "string", "format": "date-time", "description": "When it was committed."},
                    "fields": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["field", "to"],
                            "properties": {
                                "field": {"type": "string"},
                                "from": {
                                    "description": "The value before; null where there was none, absent where it is "
                                    "not known (then it may be the same)."
                                },
                                "to": {"description": "The value after; null where there is none."},
                            },
                        },
                    },
                    "left": {"type": "boolean", "description": "True: the order left your rights; it may still exist."},
                    "incomplete": {"type": "boolean", "description": "True: other fields may have changed, too."},
                },
            },
        },
        "complete_since": {
            "type": "string",
            "description": "A cursor: every change after it (up to `before`) is in this page, or was not for you.",
        },
        "complete_since_at": {"type": "string", "format": "date-time", "description": "The time of that cursor."},
    },
}
TICKET: _Schema = {
    "type": "object",
    "title": "Ticket",
    "required": ["ticket", "expires_in"],
    "properties": {
        "ticket": {"type": "string"},
        "expires_in": {"type": "integer", "description": "Seconds in which it must be used."},
    },
}
TOKEN: _Schema = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "Where the gateway asks for tokens (`AUTH=jwt`), every request below `/api/` needs one, except for "
    "this description: with the scope `orders:read`, or `orders:write` to write, or `orders:admin` below "
    "`/api/admin/`. Orders outside of its rights do not exist.",
}
SESSION: _Schema = {
    "type": "apiKey",
    "in": "cookie",
    "name": SESSION_COOKIE,
    "description": "The session of a person who has signed in at `/auth/sign-in` (where `OIDC_ISSUER` is set); for "
    "pages of this server only, and not looked at where there is a token.",
}
PROBLEM: _Schema = {
    "type": "object",
    "title": "Problem",
    "description": "An error, as defined by RFC 9457.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "Identifies the kind of problem, for programs."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "incident": {"type": "string", "description": "The id under which a server error is logged."},
        "reason": {
            "type": "string",
            "description": "Why the request was not let in, in the same word as over Socket.IO: `token_expired`, "
            "`token_revoked`, `scope_missing`, `foreign_page`, …",
        },
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["in", "field", "message"],
                "properties": {
                    "in": {"enum": ["body", "query", "path", "header"]},
                    "field": {"type": "string"},
                    "message": {"type": "string"},
                    "pointer": {"type": "string", "description": "JSON pointer into the body."},
                    "status": {"type": "integer", "description": "Of an operation in a batch."},
                    "type": {"type": "string", "description": "Of an operation in a batch."},
                },
            },
        },
    },
}
