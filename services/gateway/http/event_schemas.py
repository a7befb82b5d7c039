"""The schemas of what the events of the stream say, and of what their acknowledgements answer."""

from typing import Any

from services.gateway.filters import MAX_VALUES

_Schema = dict[str, Any]

_ONE_OR_SOME = "Exactly this text, or one of these."
_CURSOR: _Schema = {"type": "string", "description": "Opaque. Send it as `since` to resume after this event."}
_LIMITED: _Schema = {
    "reason": {"type": "string", "description": "`rate_limited`, where you have used too much in a short time."},
    "limit": {"type": "string", "description": "Then, too much of what."},
    "retry_after": {"type": "integer", "description": "Then, in how many seconds you may try again."},
}
STREAM_SCHEMAS: dict[str, _Schema] = {
    "Envelope": {
        "type": "object",
        "title": "Envelope",
        "description": "One change of one order; the same on every transport.",
        "required": ["operation", "id", "data", "cursor", "at"],
        "properties": {
            "operation": {"enum": ["INSERT", "UPDATE", "DELETE"]},
            "id": {"type": "string", "description": "The order's `_id`, as every path takes it."},
            "data": {
                "anyOf": [{"$ref": "#/components/schemas/Order"}, {"type": "null"}],
                "description": "The order after the change; for a deleted one, its last known state. "
                "`null` in an INSERT or UPDATE means that it could not be delivered: fetch the order by its `id`.",
            },
            "cursor": _CURSOR,
            "at": {"type": "string", "format": "date-time", "description": "When it was committed, ISO 8601 UTC."},
            "left": {
                "type": "boolean",
                "description": "Only in a DELETE, then true: the order still exists, but no longer fits your filter.",
            },
        },
    },
    "Connected": {
        "type": "object",
        "title": "Connected",
        "required": ["id", "cursor", "server"],
        "properties": {
            "id": {"type": "string", "description": "Of this connection."},
            "cursor": _CURSOR,
            "server": {"type": "string", "description": "The name of the replica."},
        },
    },
    "Resync": {
        "type": "object",
        "title": "Resync",
        "required": ["reason", "incident", "cursor"],
        "properties": {
            "reason": {
                "type": "string",
                "description": "Why: `history_lost`, `replay_too_long`, `too_many_replays`, `rights_changed`, "
                "`collection_dropped`, …",
            },
            "incident": {"type": "string", "description": "Under which the server has logged it."},
            "cursor": _CURSOR,
        },
    },
    "Snapshot": {
        "type": "object",
        "title": "Snapshot",
        "required": ["part", "orders", "cursor"],
        "properties": {
            "part": {"type": "integer", "description": "Counts the events of one snapshot, from 0."},
            "orders": {"type": "array", "items": {"$ref": "#/components/schemas/Order"}},
            "cursor": {
                "type": "string",
                "description": "`snapshot`, in place of a cursor: who comes back with it starts anew.",
            },
        },
    },
    "Live": {
        "type": "object",
        "title": "Live",
        "required": ["count", "cursor"],
        "properties": {
            "count": {"type": "integer", "description": "How many orders the snapshot had."},
            "cursor": _CURSOR,
        },
    },
    "Status": {
        "type": "object",
        "title": "Status",
        "required": ["stale", "reason", "cursor"],
        "properties": {
            "stale": {"type": "boolean", "description": "Whether your data may be old."},
            "reason": {"enum": ["redis_unreachable", "watcher_silent", "gateway_behind", "store_unavailable", None]},
            "cursor": _CURSOR,
        },
    },
    "Expiring": {
        "type": "object",
        "title": "Expiring",
        "required": ["at"],
        "properties": {"at": {"type": "string", "format": "date-time", "description": "When, ISO 8601 UTC."}},
    },
    "Ended": {
        "type": "object",
        "title": "Ended",
        "required": ["reason"],
        "properties": {"reason": {"enum": ["token_expired", "token_revoked"]}},
    },
    "Authenticate": {
        "type": "object",
        "title": "Authenticate",
        "required": ["token"],
        "properties": {"token": {"type": "string", "description": "A new token of the same subject."}},
    },
    "AuthenticateAck": {
        "type": "object",
        "title": "AuthenticateAck",
        "properties": {
            "expires_at": {"type": ["string", "null"], "format": "date-time", "description": "When the token ends."},
            "error": {
                "type": "object",
                "required": ["reason"],
                "properties": {
                    **_LIMITED,
                    "reason": {
                        "type": "string",
                        "description": "Why it was refused: `token_expired`, `rate_limited`, …",
                    },
                },
            },
        },
    },
    "FilterAck": {
        "type": "object",
        "title": "FilterAck",
        "properties": {
            "cursor": {**_CURSOR, "description": "From here on, the new filters apply."},
            "error": {
                "type": "object",
                "required": ["message"],
                "properties": {
                    "field": {"type": "string", "description": "Of an invalid filter."},
                    "message": {"type": "string"},
                    **_LIMITED,
                },
            },
        },
    },
    "ConnectAuth": {
        "type": "object",
        "title": "ConnectAuth",
        "description": "The `auth` of a Socket.IO client.",
        "properties": {
            "since": {**_CURSOR, "description": "Follow from here; without it, from now."},
            "filter": {"$ref": "#/components/schemas/Filter"},
            "token": {"type": "string", "description": "Where the gateway asks for tokens: a JSON Web Token."},
            "ticket": {"type": "string", "description": "In place of a token: from `POST /api/tickets`."},
        },
    },
    "Subscribed": {
        "type": "object",
        "title": "Subscribed",
        "required": ["filters", "cursor"],
        "properties": {"filters": {"type": "integer", "description": "How many you have now."}, "cursor": _CURSOR},
    },
    "Mark": {"type": "object", "title": "Mark", "required": ["cursor"], "properties": {"cursor": _CURSOR}},
    "Filter": {
        "type": "object",
        "title": "Filter",
        "description": "Orders that fit every given field.",
        "additionalProperties": False,
        "properties": {
            "ids": {
                "description": "`_id` is one of these.",
                "type": "array",
                "items": {"type": "string"},
                "maxItems": MAX_VALUES,
            },
            "status": {
                "description": _ONE_OR_SOME,
                "type": ["string", "array"],
                "items": {"type": "string"},
                "maxItems": MAX_VALUES,
            },
            "customer_name": {
                "description": _ONE_OR_SOME,
                "type": ["string", "array"],
                "items": {"type": "string"},
                "maxItems": MAX_VALUES,
            },
        },
    },
}

STREAM_SCHEMAS["Subscribe"] = {
    **STREAM_SCHEMAS["Filter"],
    "title": "Subscribe",
    "description": "A filter, and whether to be sent the orders first.",
    "properties": {
        **STREAM_SCHEMAS["Filter"]["properties"],
        "snapshot": {"type": "boolean", "description": "Begin with the orders that fit your filters."},
    },
}
