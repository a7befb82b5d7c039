"""The orders over Socket.IO: the default namespace, in which every client gets each change that it may see."""

import asyncio
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from services.common.cursor import Cursor, Position
from services.common.deadlines import Deadlines
from services.common.documents import iso_at
from services.common.error_text import error_text
from services.common.fair_turns import OWN, Pace
from services.gateway.edge.doors import Doors
from services.gateway.edge.limits import Count, DisconnectReason, Incident, OnDisconnect
from services.gateway.edge.peer import account_of
from services.gateway.edge.principal import ANYONE, Credentials, NotAuthenticated, Principal, Scope
from services.gateway.filters import EVERYTHING, NOTHING, Interest, InvalidFilter, parse_filter, union
from services.gateway.live.client import LiveClient, gateway_event
from services.gateway.live.connect_request import ConnectRequest, credentials_in, parse_connect
from services.gateway.recovery import SessionIds
from services.gateway.socketio.server import Ack, ConnectionRefused, Namespace, Socket
from services.gateway.stream import Stream
from services.gateway.subscription import Mode, Reason, ResumePoint
from services.gateway.wire.socketio import Argument

MARK_SECONDS = 20.0


class LiveOrders(Namespace[LiveClient]):
    """To clients: `connected`, `orderUpdate`, `resync`, `status`, `subscribed`, `mark`; from them: `(un)subscribe`.

    With ``doors`` each client must say who it is, and is told `expiring` and `ended`; it renews by `authenticate`.
    """

    def __init__(
        self,
        stream: Stream,
        ids: SessionIds,
        server: str,
        count: Count,
        left: OnDisconnect,
        *,
        stall: float = 30.0,
        ready_timeout: float = 10.0,
        doors: Doors | None = None,
    ) -> None:
        self._doors = doors
        self._hub = stream.hub
        self._stream = stream
        self._current_cursor = stream.current_cursor
        self._ready = stream.ready
        self._turns = stream.turns
        self._ids = ids
        self._server = server
        self._count = count
        self._left = left
        self._ready_timeout = ready_timeout
        self._stalls: Deadlines[LiveClient] = Deadlines(stall, self._drop)
        self._clients: set[LiveClient] = set()

    def connect(
        self, socket: Socket[LiveClient], auth: Mapping[str, Argument]
    ) -> Mapping[str, object] | Awaitable[Mapping[str, object]]:
        """Find the client's position in the stream; recover its session if it sends one."""
        handshake = socket.take_credentials()
        if self._doors is None:
            return self._connect(socket, auth, ANYONE)
        return self._identify(self._doors, socket, auth, credentials_in(auth, handshake))

    async def _identify(
        self, doors: Doors, socket: Socket[LiveClient], auth: Mapping[str, Argument], credentials: Credentials
    ) -> Mapping[str, object]:
        try:
            principal = await doors.identify(credentials, Scope.READ)
        except NotAuthenticated as refusal:
            raise ConnectionRefused(refusal.denial, {"reason": refusal.denial}) from refusal
        admitted = self._connect(socket, auth, principal)
        return await admitted if isinstance(admitted, Awaitable) else admitted

    def _connect(
        self, socket: Socket[LiveClient], auth: Mapping[str, Argument], principal: Principal
    ) -> Mapping[str, object] | Awaitable[Mapping[str, object]]:
        request = parse_connect(auth, self._ids, principal.subject)
        resume_point = self._locate_now(request) if self._ready.is_set() else None
        if resume_point is not None:
            # Nearly always there is nothing to await, which saves a task: thousands may reconnect at once.
            return self._admit(socket, request, resume_point, principal)
        return self._locate(socket, request, principal)

    async def _locate(
        self, socket: Socket[LiveClient], request: ConnectRequest, principal: Principal
    ) -> Mapping[str, object]:
        try:
            async with asyncio.timeout(self._ready_timeout):
                await self._ready.wait()
        except TimeoutError:
            socket.close(DisconnectReason.STREAM_MISSING)  # the client reconnects by itself
            raise ConnectionRefused("the stream is not there yet") from None
        resume_point = self._locate_now(request)
        if resume_point is None and request.since is not None:
            resume_point = await self._stream.locate(request.since, account_of(socket.address))
        return self._admit(socket, request, resume_point or self._now(request), principal)

    def _locate_now(self, request: ConnectRequest) -> ResumePoint | None:
        return self._now(request) if request.since is None else self._stream.locate_now(request.since)

    def _now(self, request: ConnectRequest) -> ResumePoint:
        return ResumePoint(self._current_cursor().position, request.reason)

    def _admit(
        self, socket: Socket[LiveClient], request: ConnectRequest, resume_point: ResumePoint, principal: Principal
    ) -> Mapping[str, object]:
        recovered = request.pid is not None and resume_point.reason is None
        incident = "" if resume_point.reason is None else self._note_resync(socket, request, resume_point.reason)
        socket.state = LiveClient(socket, self._hub, self._stalls, request.interest, resume_point, incident, principal)
        return {"pid": request.pid if recovered else self._ids.issue(principal.subject)}

    def _note_resync(self, socket: Socket[LiveClient], request: ConnectRequest, reason: Reason) -> str:
        return self._hub.resyncs.one(reason, socket.sid, account_of(socket.address), request.since)

    def greeting(self, socket: Socket[LiveClient]) -> tuple[str, Sequence[object]]:
        """Return `connected`: the client's id, the server's name and the position in the stream."""
        fields = {"id": socket.sid, "server": self._server}
        return "connected", gateway_event(
            fields, self._cursor(socket.state.resume_point.position), socket.state.interest
        )

    def connected(self, socket: Socket[LiveClient]) -> None:
        """Start the client; the events that it has missed follow at once."""
        client = socket.state
        interest, resume_point = client.interest, client.resume_point
        if resume_point.reason is not None:
            client.resync(resume_point.reason, self._cursor(resume_point.position), client.incident)
        self._clients.add(client)
        rights, account = client.principal.rights, account_of(socket.address)
        client.start(self._hub.subscribe(client, interest, resume_point.position, account, rights))
        client.live_until(client.principal.expires_at)

    def event(
        self, socket: Socket[LiveClient], name: str, args: Sequence[Argument], ack: Ack | None
    ) -> Awaitable[None] | None:
        """Change the client's filters or renew its token.

        The acknowledgement is an object, with ``error`` where that was refused.
        """
        if name == "authenticate" and self._doors is not None:
            return self._renew(self._doors, socket.state, args[0] if args else None, ack)
        self._change_filters(socket, name, args, ack)
        return None

    async def _renew(self, doors: Doors, client: LiveClient, sent: Argument, ack: Ack | None) -> None:
        """Let the client live as long as a new token, with the rights that this one gives."""
        token = sent.get("token") if isinstance(sent, Mapping) else None
        try:
            credentials = Credentials(token=token if isinstance(token, str) else "")
            principal = await doors.identify(credentials, Scope.READ, client.principal.subject)
        except NotAuthenticated as refusal:
            if ack is not None:
                ack({"error": {"reason": refusal.denial}})
            return
        client.principal = principal
        client.live_until(principal.expires_at)
        if client.subscription is not None:
            self._hub.change_rights(client.subscription, principal.rights)
        if ack is not None:
            ack({"expires_at": _moment(principal.expires_at)})

    def _change_filters(self, socket: Socket[LiveClient], name: str, args: Sequence[Argument], ack: Ack | None) -> None:
        subscription = socket.state.subscription
        if subscription is None:
            return
        try:
            interest = _changed(subscription.interest, name, args)
        except InvalidFilter as error:
            if ack is not None:
                ack({"error": {"field": error.field, "message": error_text(error)}})
            return
        self._hub.change_interest(subscription, interest)
        # The position is fixed before the acknowledgement: nothing is missed from here on.
        cursor = self._cursor(self._hub.position(subscription))
        socket.state.emit("subscribed", {"filters": len(interest)}, cursor, interest)
        if ack is not None:
            ack({"cursor": str(cursor)})

    def disconnected(self, socket: Socket[LiveClient], reason: DisconnectReason) -> None:
        """Forget the client."""
        socket.state.leave()
        self._clients.discard(socket.state)
        self._left(socket.form, reason)

    def _cursor(self, position: Position) -> Cursor:
        return Cursor(self._current_cursor().epoch, position)

    def _drop(self, client: LiveClient) -> None:
        self._count(Incident.SLOW_CONSUMER)
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
        last: Cursor | None = None
        while True:
            await asyncio.sleep(MARK_SECONDS)
            if not self._ready.is_set() or self._current_cursor() == last:
                continue
            last = cursor = self._current_cursor()
            pace = Pace(self._turns, OWN)
            await pace.begin()
            for client in list(self._clients):
                subscription = client.subscription if client in self._clients else None
                if (
                    subscription is not None
                    and subscription.mode is Mode.LIVE
                    and subscription.audience.shown != EVERYTHING
                ):
                    with self._hub.isolating(subscription):
                        client.emit("mark", {}, cursor, subscription.interest)
                if await pace.step():  # meanwhile the others may have been sent later changes than the mark
                    last = cursor = self._current_cursor()


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else iso_at(seconds)


def _changed(interest: Interest, name: str, args: Sequence[Argument]) -> Interest:
    """Return the interest after `subscribe(filter)`, `unsubscribe(filter)` or `unsubscribe()`."""
    wanted = parse_filter(args[0]) if args and args[0] is not None else None
    match name:
        case "subscribe":
            if wanted is None:
                return EVERYTHING
            return union({wanted} if interest == EVERYTHING else {*interest, wanted})
        case "unsubscribe":
            return NOTHING if wanted is None else interest - {wanted}
        case _:
            raise InvalidFilter(f"there is no event {name[:40]!r} here, only subscribe and unsubscribe")
