"""Parses the auth payload of a connecting Socket.IO client: where it was, and what it wants to see."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from services.common.cursor import Cursor, InvalidCursor
from services.common.error_text import error_text
from services.common.visible_fields import VisibleFields
from services.gateway.audience import view_of
from services.gateway.edge.principal import ANYONE, Credentials, Principal
from services.gateway.filters import EVERYTHING, Interest, InvalidFilter, parse_filter, union
from services.gateway.recovery import Offset, SessionIds
from services.gateway.snapshot_chunk import INSIDE
from services.gateway.socketio.namespace import ConnectionRefused
from services.gateway.subscription import ResyncReason
from services.gateway.wire.socketio import Argument


class ConnectRequest(NamedTuple):
    """A client's request to connect.

    Without ``since`` it begins where the stream is, or with the orders where it ``wants_orders``: it was inside a
    snapshot. ``reason`` is why its cursor or session is invalid; ``pid`` is the session that it wants to recover.
    """

    interest: Interest
    since: Cursor | None
    pid: str | None
    reason: ResyncReason | None
    wants_orders: bool = False


def credentials_in(auth: Mapping[str, Argument], handshake: Credentials) -> Credentials:
    """Return the token or ticket in the auth payload, else what came with the handshake."""
    token, ticket = auth.get("token"), auth.get("ticket")
    if token is not None:
        return Credentials(token=token if isinstance(token, str) else "")
    if ticket is not None:
        return Credentials(ticket=ticket if isinstance(ticket, str) else "")
    return handshake


def parse_connect(
    auth: Mapping[str, Argument], ids: SessionIds, visible: VisibleFields, principal: Principal = ANYONE
) -> ConnectRequest:
    """Parse the auth payload ``{since?, filter?}``, to which a reconnecting stock client adds ``{pid, offset}``.

    A cursor that was given for other rights than the client has now is refused like one that is out of reach. Raise
    ConnectionRefused for an invalid filter: there is no telling what the client should be shown.
    """
    interest = EVERYTHING
    if auth.get("filter") is not None:
        with _refusing():
            interest = union([parse_filter(auth["filter"])], visible)
    view = view_of(principal.rights)
    pid, offset, since = auth.get("pid"), auth.get("offset"), auth.get("since")
    try:
        if pid is not None:
            if not isinstance(pid, str) or not ids.is_genuine(pid, principal.subject):
                return ConnectRequest(interest, None, None, ResyncReason.INVALID_SESSION)
            back = Offset.parse(offset if isinstance(offset, str) else "")
            with _refusing():
                union(back.interest, visible)  # the client may have made the offset up
            if back.cursor is not None and back.cursor.view != view:
                return ConnectRequest(back.interest, None, None, ResyncReason.RIGHTS_CHANGED)
            return ConnectRequest(back.interest, back.cursor, pid, None, wants_orders=back.cursor is None)
        if since == INSIDE:
            return ConnectRequest(interest, None, None, None, wants_orders=True)
        if since is not None:
            cursor = Cursor.parse(since if isinstance(since, str) else "")
            if cursor.view != view:
                return ConnectRequest(interest, None, None, ResyncReason.RIGHTS_CHANGED)
            return ConnectRequest(interest, cursor, None, None)
    except InvalidCursor:
        return ConnectRequest(interest, None, None, ResyncReason.INVALID_CURSOR)
    return ConnectRequest(interest, None, None, None)


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except InvalidFilter as error:
        raise ConnectionRefused("invalid filter", {"field": error.field, "message": error_text(error)}) from error
