"""Parses the auth payload of a connecting Socket.IO client: where it was, and what it wants to see."""

from collections.abc import Mapping
from typing import NamedTuple

from services.common.cursor import Cursor, InvalidCursor
from services.common.error_text import error_text
from services.gateway.edge.principal import Credentials
from services.gateway.filters import EVERYTHING, Interest, InvalidFilter, parse_filter, union
from services.gateway.recovery import Offset, SessionIds
from services.gateway.socketio.namespace import ConnectionRefused
from services.gateway.subscription import ResyncReason
from services.gateway.wire.socketio import Argument


class ConnectRequest(NamedTuple):
    """A client's request to connect.

    Without ``since`` it begins where the stream is; ``reason`` is why its cursor or session is invalid; ``pid`` is the
    session that it wants to recover.
    """

    interest: Interest
    since: Cursor | None
    pid: str | None
    reason: ResyncReason | None


def credentials_in(auth: Mapping[str, Argument], handshake: Credentials) -> Credentials:
    """Return the token or ticket in the auth payload, else what came with the handshake."""
    token, ticket = auth.get("token"), auth.get("ticket")
    if token is not None:
        return Credentials(token=token if isinstance(token, str) else "")
    if ticket is not None:
        return Credentials(ticket=ticket if isinstance(ticket, str) else "")
    return handshake


def parse_connect(auth: Mapping[str, Argument], ids: SessionIds, subject: str = "") -> ConnectRequest:
    """Parse the auth payload ``{since?, filter?}``, to which a reconnecting stock client adds ``{pid, offset}``.

    Raise ConnectionRefused for an invalid filter: there is no telling what the client should be shown.
    """
    interest = _interest_of(auth)
    pid, offset, since = auth.get("pid"), auth.get("offset"), auth.get("since")
    try:
        if pid is not None:
            if not isinstance(pid, str) or not ids.is_genuine(pid, subject):
                return ConnectRequest(interest, None, None, ResyncReason.INVALID_SESSION)
            back = Offset.parse(offset if isinstance(offset, str) else "")
            return ConnectRequest(back.interest, back.cursor, pid, None)
        if since is not None:
            return ConnectRequest(interest, Cursor.parse(since if isinstance(since, str) else ""), None, None)
    except InvalidCursor:
        return ConnectRequest(interest, None, None, ResyncReason.INVALID_CURSOR)
    return ConnectRequest(interest, None, None, None)


def _interest_of(auth: Mapping[str, Argument]) -> Interest:
    if auth.get("filter") is None:
        return EVERYTHING
    try:
        return union([parse_filter(auth["filter"])])
    except InvalidFilter as error:
        raise ConnectionRefused("invalid filter", {"field": error.field, "message": error_text(error)}) from error
