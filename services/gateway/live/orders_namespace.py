"""The orders over Socket.IO: the default namespace, in which every client gets each change that it may see."""

import asyncio
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from services.common.cursor import Cursor, Position
from services.common.deadlines import Deadlines
from services.common.documents import iso_at
from services.common.error_text import error_text
from services.common.fair_turns import INTERNAL, Pace
from services.common.visible_fields import ALL_FIELDS, VisibleFields
from services.gateway.audience import Rights, view_of
from services.gateway.edge.authenticator import Authenticator
from services.gateway.edge.fair_share import FairShare
from services.gateway.edge.incidents import Count, DisconnectReason, IncidentKind, OnDisconnect
from services.gateway.edge.peer import account_of
from services.gateway.edge.principal import Credentials, NotAuthenticated, Scope
from services.gateway.edge.quota import Standing, Use
from services.gateway.filters import EVERYTHING, InvalidFilter
from services.gateway.live.client import LiveClient, gateway_event
from services.gateway.live.connecting import Connecting
from services.gateway.live.subscribing import changed, without_snapshot
from services.gateway.recovery import SessionIds
from services.gateway.snapshot_chunk import INSIDE
from services.gateway.socketio.server import Ack, Namespace, Socket
from services.gateway.stream import Stream
from services.gateway.subscription import Mode
from services.gateway.wire.socketio import Argument

MARK_SECONDS = 20.0


class LiveOrders(Namespace[LiveClient]):
    """The events of the orders, over Socket.IO.

    To clients: `connected`, `snapshot`, `live`, `orderUpdate`, `resync`, `status`, `subscribed`, `mark`; from them:
    `subscribe` and `unsubscribe`.

    With an ``authenticator`` each client must say who it is, and is told `expiring` and `ended`; it renews by
    `authenticate`.
    """

    def __init__(
        self,
        stream: Stream,
        ids: SessionIds,
        server: str,
        count: Count,
        on_disconnect: OnDisconnect,
        *,
        stall: float = 30.0,
        ready_timeout: float = 10.0,
        authenticator: Authenticator | None = None,
        share: FairShare | None = None,
        visible: VisibleFields = ALL_FIELDS,
    ) -> None:
        self._visible = visible
        self._authenticator = authenticator
        self._share = FairShare() if share is None else share
        self._hub = stream.hub
        self._stream = stream
        self._current_cursor = stream.current_cursor
        self._ready = stream.ready
        self._turns = stream.turns
        self._server = server
        self._count = count
        self._on_disconnect = on_disconnect
        self._stalls: Deadlines[LiveClient] = Deadlines(stall, self._drop)
        self._clients: set[LiveClient] = set()
        self._connecting = Connecting(
            stream,
            ids,
            count,
            self._refusing,
            self._stalls,
            ready_timeout=ready_timeout,
            authenticator=authenticator,
            visible=visible,
        )

    def connect(
        self, socket: Socket[LiveClient], auth: Mapping[str, Argument]
    ) -> Mapping[str, object] | Awaitable[Mapping[str, object]]:
        """Find the client's position in the stream; recover its session if it sends one."""
        return self._connecting.connect(socket, auth)

    def greeting(self, socket: Socket[LiveClient]) -> tuple[str, Sequence[object]]:
        """Return `connected`: the client's id, the server's name and the position in the stream."""
        client = socket.state
        cursor = None if client.wants_orders else self._cursor(client.resume_point.position, client.principal.rights)
        return "connected", gateway_event({"id": socket.sid, "server": self._server}, cursor, client.interest)

    def started(self, socket: Socket[LiveClient]) -> None:
        """Start the client; the events that it has missed follow at once."""
        client = socket.state
        interest, resume_point, rights = client.interest, client.resume_point, client.principal.rights
        if resume_point.reason is not None:
            client.resync(resume_point.reason, self._cursor(resume_point.position, rights), client.incident)
        self._clients.add(client)
        account = account_of(socket.address)
        orders = self._stream.snapshots if client.wants_orders else None
        client.start(self._hub.subscribe(client, interest, resume_point.position, account, rights), orders)
        client.live_until(client.principal.expires_at)
        if self._authenticator is not None:  # last: it ends the client where its token was revoked while it connected
            client.bearer = self._authenticator.keep(
                client.principal, partial(client.end_because, DisconnectReason.TOKEN_REVOKED)
            )

    def event(
        self, socket: Socket[LiveClient], name: str, args: Sequence[Argument], ack: Ack | None
    ) -> Awaitable[None] | None:
        """Change the client's filters or renew its token.

        The acknowledgement is an object, with ``error`` where that was refused.
        """
        authenticator = self._authenticator if name == "authenticate" else None
        use = Use.SUBSCRIBES if authenticator is None else Use.HANDSHAKES
        if not self._may(use, socket, ack):
            return None
        if authenticator is not None:
            return self._renew(authenticator, socket.state, args[0] if args else None, ack)
        self._change_filters(socket, name, args, ack)
        return None

    def _may(self, use: Use, socket: Socket[LiveClient], ack: Ack | None) -> bool:
        """Let the client use something, or tell it that it may not."""
        standing = self._refusing(use, socket, socket.state.principal.subject)
        if standing is None:
            return True
        if ack is not None:
            ack({"error": {**standing.refusal(), "message": f"too many {use} in a short time"}})
        return False

    def _refusing(self, use: Use, socket: Socket[LiveClient], subject: str) -> Standing | None:
        """Charge the client for a use; return how it stands where it may not."""
        standing = self._share.charge(use, socket.address, subject)
        if standing is None or standing.is_allowed:
            return None
        self._count(use.incident)
        return standing

    async def _renew(self, authenticator: Authenticator, client: LiveClient, sent: Argument, ack: Ack | None) -> None:
        """Let the client live as long as a new token, with the rights that this one gives."""
        token = sent.get("token") if isinstance(sent, Mapping) else None
        try:
            credentials = Credentials(token=token if isinstance(token, str) else "")
            principal = await authenticator.identify(credentials, Scope.READ, client.principal.subject)
        except NotAuthenticated as refusal:
            if ack is not None:
                ack({"error": {"reason": refusal.denial}})
            return
        client.principal = principal
        client.live_until(principal.expires_at)
        if client.bearer is not None:
            client.bearer.renew(principal)
        if client.subscription is not None:
            self._hub.change_rights(client.subscription, principal.rights)
        if ack is not None:
            ack({"expires_at": _moment(principal.expires_at)})

    def _change_filters(self, socket: Socket[LiveClient], name: str, args: Sequence[Argument], ack: Ack | None) -> None:
        subscription = socket.state.subscription
        if subscription is None:
            return
        try:
            args, wants_orders = without_snapshot(name, args)
            interest = changed(subscription.interest, name, args, self._visible)
        except InvalidFilter as error:
            if ack is not None:
                ack({"error": {"field": error.field, "message": error_text(error)}})
            return
        client = socket.state
        sends_orders = wants_orders or client.is_inside  # what has been sent of a snapshot is of another interest
        if sends_orders and not self._may(Use.EXPENSIVE, socket, ack):
            return
        self._hub.change_interest(subscription, interest)
        if sends_orders:
            client.send_orders(self._stream.snapshots)
        # The position is fixed before the acknowledgement: nothing is missed from here on.
        cursor = None if client.is_inside else self._cursor(self._hub.position(subscription), subscription.rights)
        client.emit("subscribed", {"filters": len(interest)}, cursor, interest)
        if ack is not None:
            ack({"cursor": INSIDE if cursor is None else str(cursor)})

    def disconnected(self, socket: Socket[LiveClient], reason: DisconnectReason) -> None:
        """Forget the client."""
        socket.state.leave()
        self._clients.discard(socket.state)
        self._on_disconnect(socket.form, reason)

    def _cursor(self, position: Position, rights: Rights) -> Cursor:
        return Cursor(self._current_cursor().epoch, position, view_of(rights))

    def _drop(self, client: LiveClient) -> None:
        self._count(IncidentKind.SLOW_CONSUMER)
        client.drop()

    @contextmanager
    def stopping(self) -> Iterator[None]:
        """Stop the stall timers at the end."""
        try:
            yield
        finally:
            self._stalls.close()

    async def send_marks(self) -> None:
        """Send clients with a filter the stream's position regularly, until cancelled.

        Otherwise the cursor that they recover with would age until it is out of reach, although they missed nothing.
        """
        marked: Cursor | None = None  # all are at least there
        while True:
            await asyncio.sleep(MARK_SECONDS)
            if not self._ready.is_set() or self._current_cursor() == marked:
                continue
            marked = self._current_cursor()
            pace = Pace(self._turns, INTERNAL)
            await pace.begin()
            for client in list(self._clients):
                subscription = client.subscription if client in self._clients else None
                if (
                    subscription is not None
                    and subscription.mode is Mode.LIVE
                    and subscription.audience.shown != EVERYTHING
                ):
                    with self._hub.isolating(subscription):
                        client.mark(self._current_cursor(), subscription)
                await pace.step()


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else iso_at(seconds)
