"""Admits a client over Socket.IO: identifies it, checks its limits, and finds where in the stream it begins."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from services.common.cursor import Cursor
from services.common.deadlines import Deadlines
from services.common.visible_fields import VisibleFields
from services.gateway.edge.authenticator import Authenticator
from services.gateway.edge.incidents import Count, DisconnectReason
from services.gateway.edge.peer import account_of
from services.gateway.edge.principal import ANYONE, NO_CREDENTIALS, Credentials, NotAuthenticated, Principal, Scope
from services.gateway.edge.quota import RATE_LIMITED, Standing, Use
from services.gateway.edge.registry import NotAdmitted
from services.gateway.live.client import LiveClient
from services.gateway.live.connect_request import ConnectRequest, credentials_in, parse_connect
from services.gateway.recovery import SessionIds
from services.gateway.socketio.server import ConnectionRefused, Socket
from services.gateway.stream import Stream
from services.gateway.subscription import Reason, ResumePoint, ResyncReason
from services.gateway.wire.socketio import Argument


class Connecting:
    """Makes a `LiveClient` of each client that connects.

    ``refusing`` charges a client for a use, and returns how it stands if that is refused, else None.
    """

    def __init__(
        self,
        stream: Stream,
        ids: SessionIds,
        count: Count,
        refusing: Callable[[Use, Socket[LiveClient], str], Standing | None],
        stalls: Deadlines[LiveClient],
        *,
        ready_timeout: float,
        authenticator: Authenticator | None,
        visible: VisibleFields,
    ) -> None:
        self._stream = stream
        self._ids = ids
        self._count = count
        self._refusing = refusing
        self._stalls = stalls
        self._ready_timeout = ready_timeout
        self._authenticator = authenticator
        self._visible = visible

    def connect(
        self, socket: Socket[LiveClient], auth: Mapping[str, Argument]
    ) -> Mapping[str, object] | Awaitable[Mapping[str, object]]:
        """Return what the reply tells the client; raise ConnectionRefused."""
        handshake = socket.take_credentials()
        if handshake is None:  # the handshake has paid for the first CONNECT, which took them
            self._require(socket.charge_again())
            handshake = NO_CREDENTIALS
        if self._authenticator is None:
            return self._connect(socket, auth, ANYONE)
        return self._identify(self._authenticator, socket, auth, credentials_in(auth, handshake))

    async def _identify(
        self,
        authenticator: Authenticator,
        socket: Socket[LiveClient],
        auth: Mapping[str, Argument],
        credentials: Credentials,
    ) -> Mapping[str, object]:
        try:
            principal = await authenticator.identify(credentials, Scope.READ)
        except NotAuthenticated as refusal:
            raise ConnectionRefused(refusal.denial, {"reason": refusal.denial}) from refusal
        self._admit_one_more(socket, principal.subject)
        admitted = self._connect(socket, auth, principal)
        return await admitted if isinstance(admitted, Awaitable) else admitted

    def _admit_one_more(self, socket: Socket[LiveClient], subject: str) -> None:
        try:
            standing = socket.identified(subject)
        except NotAdmitted as refusal:
            self._count(refusal.incident)
            told = {"reason": refusal.incident, "retry_after": refusal.retry_after}
            raise ConnectionRefused(refusal.incident, told) from refusal
        self._require(standing)

    def _require(self, standing: Standing | None) -> None:
        if standing is not None and not standing.is_allowed:
            self._count(standing.use.incident)
            raise ConnectionRefused(RATE_LIMITED, standing.refusal())

    def _connect(
        self, socket: Socket[LiveClient], auth: Mapping[str, Argument], principal: Principal
    ) -> Mapping[str, object] | Awaitable[Mapping[str, object]]:
        request = parse_connect(auth, self._ids, self._visible, principal)
        if request.wants_orders:
            standing = self._refusing(Use.EXPENSIVE, socket, principal.subject)
            if standing is not None:
                raise ConnectionRefused(RATE_LIMITED, standing.refusal())
        resume_point = self._locate_now(request) if self._stream.ready.is_set() else None
        if resume_point is not None:
            # Nearly always there is nothing to await, which saves a task: thousands may reconnect at once.
            return self._admit(socket, request, resume_point, principal)
        return self._locate(socket, request, principal)

    async def _locate(
        self, socket: Socket[LiveClient], request: ConnectRequest, principal: Principal
    ) -> Mapping[str, object]:
        try:
            async with asyncio.timeout(self._ready_timeout):
                await self._stream.ready.wait()
        except TimeoutError:
            socket.close(DisconnectReason.STREAM_MISSING)  # the client reconnects by itself
            raise ConnectionRefused("the stream is not there yet") from None
        resume_point = self._locate_now(request)
        if resume_point is None and request.since is not None:
            resume_point = await self._locate_deep(socket, request.since, principal.subject)
        return self._admit(socket, request, resume_point or self._now(request), principal)

    async def _locate_deep(self, socket: Socket[LiveClient], since: Cursor, subject: str) -> ResumePoint:
        if self._refusing(Use.DEEP_RESUMES, socket, subject) is None:
            return await self._stream.locate(since, account_of(socket.address))
        return ResumePoint(self._stream.current_cursor().position, ResyncReason.TOO_MANY_REPLAYS)

    def _locate_now(self, request: ConnectRequest) -> ResumePoint | None:
        return self._now(request) if request.since is None else self._stream.locate_now(request.since)

    def _now(self, request: ConnectRequest) -> ResumePoint:
        return ResumePoint(self._stream.current_cursor().position, request.reason)

    def _admit(
        self, socket: Socket[LiveClient], request: ConnectRequest, resume_point: ResumePoint, principal: Principal
    ) -> Mapping[str, object]:
        recovered = request.pid is not None and resume_point.reason is None
        incident = "" if resume_point.reason is None else self._note_resync(socket, request, resume_point.reason)
        socket.state = LiveClient(
            socket,
            self._stream.hub,
            self._stalls,
            request.interest,
            resume_point,
            incident,
            principal,
            wants_orders=request.wants_orders,
        )
        return {"pid": request.pid if recovered else self._ids.issue(principal.subject)}

    def _note_resync(self, socket: Socket[LiveClient], request: ConnectRequest, reason: Reason) -> str:
        return self._stream.hub.resyncs.one(reason, socket.sid, account_of(socket.address), request.since)
