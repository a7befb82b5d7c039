"""Documents the stream: its events on both transports, the envelope, and the filters that a client may set."""

from typing import Any, NamedTuple

from services.gateway.filters import MAX_FILTERS, MAX_TEXT, MAX_VALUES

_Schema = dict[str, Any]


class EventKind(NamedTuple):
    """One event: its name, sender, transports, payload and meaning."""

    name: str
    sender: str
    over: str
    payload: str
    meaning: str


_BOTH, _SOCKETS = "Socket.IO, SSE", "Socket.IO"
EVENTS = [
    EventKind(
        "connected", "server", _BOTH, "Connected", "The first event: which replica serves you, and where the stream is."
    ),
    EventKind("orderUpdate", "server", _BOTH, "Envelope", "An order was added, changed or deleted."),
    EventKind(
        "resync",
        "server",
        _BOTH,
        "Resync",
        "The changes after your cursor can no longer be delivered: reload the list.",
    ),
    EventKind("status", "server", _BOTH, "Status", "Whether your data may be old, and why."),
    EventKind(
        "expiring", "server", _BOTH, "Expiring", "Your token ends soon: renew it, or connect again with another."
    ),
    EventKind("ended", "server", _BOTH, "Ended", "The last event: your token has ended."),
    EventKind("subscribed", "server", _SOCKETS, "Subscribed", "Your new filters apply from here on."),
    EventKind("mark", "server", _SOCKETS, "Mark", "Your position, when your filters have hidden the latest changes."),
    EventKind(
        "subscribe",
        "client",
        _SOCKETS,
        "Filter",
        "Set or add a filter; without one, see everything. Acknowledged with `{cursor}` or `{error}`.",
    ),
    EventKind(
        "unsubscribe",
        "client",
        _SOCKETS,
        "Filter",
        "Remove a filter; without one, remove all and see nothing. Acknowledged likewise.",
    ),
    EventKind(
        "authenticate",
        "client",
        _SOCKETS,
        "Authenticate",
        "Renew your token. Acknowledged with `{expires_at}` or `{error: {reason}}`; with other rights than before, "
        "`resync` follows.",
    ),
]

_ONE_OR_SOME = "Exactly this text, or one of these."
_CURSOR: _Schema = {"type": "string", "description": "Opaque. Send it as `since` to resume after this event."}
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
                "const": True,
                "description": "Only in a DELETE: the order still exists, but no longer fits your filter.",
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
                "description": "Why: `history_lost`, `replay_too_long`, `too_many_replays`, `collection_dropped`, …",
            },
            "incident": {"type": "string", "description": "Under which the server has logged it."},
            "cursor": _CURSOR,
        },
    },
    "Status": {
        "type": "object",
        "title": "Status",
        "required": ["stale", "reason", "cursor"],
        "properties": {
            "stale": {"type": "boolean", "description": "Whether your data may be old."},
            "reason": {"enum": ["redis_unreachable", "watcher_silent", "gateway_behind", None]},
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
        "properties": {"reason": {"enum": ["token_expired"]}},
    },
    "Authenticate": {
        "type": "object",
        "title": "Authenticate",
        "required": ["token"],
        "properties": {"token": {"type": "string", "description": "A new token of the same subject."}},
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

STREAM_TEXT = f"""
Each change to an order is one **envelope**, encoded once and the same for every client. `cursor` is its position in the
stream: a client that sends its last one back gets every later change exactly once, in commit order, from any replica
and over any transport; where that is impossible it gets `resync` with the reason.

**Socket.IO** at `/socket.io/`: any stock client of version 3 or newer, by websocket or long-polling. `auth` may hold
`since` (a cursor) and `filter`. With connection state recovery the stock client resumes by itself.

**Tokens**, where the gateway asks for them: Socket.IO takes one as `auth.token`, SSE as `Authorization: Bearer`, both a
`?ticket=` from `POST /api/tickets`. A refused Socket.IO client gets `connect_error` with the reason as its message. A
stream shows only orders within the rights of its token, and ends with it.

**Server-Sent Events** at `/api/orders/events`: each event's `id:` is its cursor. A client resumes by the header
`Last-Event-ID`, which browsers send by themselves, or by `?since=`.

A **filter** has the fields `ids`, `status` and `customer_name`; over SSE and in the list they are parameters:

- `id`, `status` and `customer_name`, each may be repeated; values are compared exactly
- within one field any of the values may match, and every given field must match
- a Socket.IO client may have {MAX_FILTERS} filters, and sees orders that fit any of them
- all filters of a client together may have {MAX_VALUES} values, and take {MAX_TEXT} bytes as JSON in base64
- an order that leaves your filter is sent as a DELETE with `left`
"""
