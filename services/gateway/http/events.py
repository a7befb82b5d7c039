"""Documents the stream: which events there are on both transports, and how a client follows them."""

from typing import NamedTuple

from services.gateway.filters import MAX_FILTERS, MAX_TEXT, MAX_VALUES

SOCKETIO, SSE = "Socket.IO", "SSE"


class EventKind(NamedTuple):
    """One event: its name, sender, transports and meaning, and the schemas of its payload and acknowledgement."""

    name: str
    sender: str
    over: tuple[str, ...]
    payload: str
    meaning: str
    ack: str | None = None


_BOTH, _SOCKETS = (SOCKETIO, SSE), (SOCKETIO,)
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
    EventKind(
        "snapshot",
        "server",
        _BOTH,
        "Snapshot",
        "Some of the orders that you asked for, newest first; with `part` 0, forget what you had before.",
    ),
    EventKind(
        "live", "server", _BOTH, "Live", "You have all the orders; what follows are the changes since that very moment."
    ),
    EventKind("status", "server", _BOTH, "Status", "Whether your data may be old, and why."),
    EventKind(
        "expiring", "server", _BOTH, "Expiring", "Your token ends soon: renew it, or connect again with another."
    ),
    EventKind("ended", "server", _BOTH, "Ended", "The last event: your token has ended, or was revoked."),
    EventKind("subscribed", "server", _SOCKETS, "Subscribed", "Your new filters apply from here on."),
    EventKind("mark", "server", _SOCKETS, "Mark", "Your position, when your filters have hidden the latest changes."),
    EventKind(
        "subscribe",
        "client",
        _SOCKETS,
        "Subscribe",
        "Set or add a filter; without one, see everything. With `snapshot`, be sent the orders of all your filters "
        "first. Acknowledged with `{cursor}` or `{error}`.",
        ack="FilterAck",
    ),
    EventKind(
        "unsubscribe",
        "client",
        _SOCKETS,
        "Filter",
        "Remove a filter; without one, remove all and see nothing. Acknowledged likewise.",
        ack="FilterAck",
    ),
    EventKind(
        "authenticate",
        "client",
        _SOCKETS,
        "Authenticate",
        "Renew your token. Acknowledged with `{expires_at}` or `{error: {reason}}`; with other rights than before, "
        "`resync` follows.",
        ack="AuthenticateAck",
    ),
]

STREAM_TEXT = f"""
Each change to an order is one **envelope**, the same on every transport. `cursor` is its position in the stream: a
client that sends its last one back gets every later change exactly once, in commit order, from any replica and over any
transport; where that is impossible it gets `resync` with the reason.

**Socket.IO** at `/socket.io/`: any stock client of version 3 or newer, by websocket or long-polling. `auth` may hold
`since` (a cursor) and `filter`. With connection state recovery the stock client resumes by itself.

**Tokens**, where the gateway asks for them: Socket.IO takes one as `auth.token`, SSE as `Authorization: Bearer`, both a
`?ticket=` from `POST /api/tickets`. A refused Socket.IO client gets `connect_error` with the reason as its message. A
stream shows only orders within the rights of its token, and ends with it. A cursor is good for the rights with which
it was given: who comes back with others gets `resync` with `rights_changed`, since it may hold orders that it may no
longer see, and lacks those that it may see only now.

**Limits**: a client that takes more than its share is refused: by 429 with `Retry-After` over REST, over SSE and at the
handshake of Socket.IO; at CONNECT by `connect_error`, whose `data` is `{{reason: "rate_limited", limit, retry_after}}`;
for an event by `{{ error }}` with the same. Who resumes too often from far back gets `resync` with `too_many_replays`.

**Server-Sent Events** at `/api/orders/events`: each event's `id:` is its cursor. A client resumes by the header
`Last-Event-ID`, which browsers send by themselves, or by `?since=`.

**A list and its changes in one request**: `GET /api/orders` with `Accept: text/event-stream`, or over Socket.IO
`subscribe` with `snapshot: true`. The orders come in `snapshot` events, then `live`, then every later change. Whoever
loses the connection before `live` gets the orders anew, and after it only what was missed.

A **filter** has the fields `ids`, `status` and `customer_name`; over SSE and in the list they are parameters:

- `id`, `status` and `customer_name`, each may be repeated; values are compared exactly
- within one field any of the values may match, and every given field must match
- a Socket.IO client may have {MAX_FILTERS} filters, and sees orders that fit any of them
- all filters of a client together may have {MAX_VALUES} values, and take {MAX_TEXT} bytes as JSON in base64
- a field that the operator hides from clients is refused
- an order that leaves your filter is sent as a DELETE with `left`
"""
