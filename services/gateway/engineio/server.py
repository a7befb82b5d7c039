"""Serves Engine.IO 4 over polling and websocket; the application defines the protocol inside its sessions."""

import asyncio

from aiohttp import hdrs, web

from services.common.fair_turns import FairTurns, Pace
from services.front.handover import hand_over
from services.gateway.edge.entrance import Entrance
from services.gateway.edge.fair_share import FairShare
from services.gateway.edge.incidents import Count, count_nothing
from services.gateway.edge.registry import Registry
from services.gateway.edge.request import Request
from services.gateway.edge.unsent import Unsent
from services.gateway.engineio.polling import Polling
from services.gateway.engineio.rejection import ErrorCode, Rejected
from services.gateway.engineio.session import Accept, Session
from services.gateway.engineio.sessions import Sessions
from services.gateway.engineio.settings import EngineSettings
from services.gateway.engineio.upgrade import Upgrade
from services.gateway.engineio.websocket_connection import WebSocketConnection
from services.gateway.engineio.websocket_handshake import (
    HandshakeRefused,
    is_upgrade,
    response_head,
    switch_protocols,
    write_response,
)
from services.gateway.wire.engineio import PROTOCOL, open_packet
from services.gateway.wire.handshake import Handshake


class EngineServer:
    """Calls `accept(session)` for each new session, after its handshake has been written or queued.

    Pass `registry`, `unsent` and `entrance` where they are shared with other transports. `open` checks the entrance
    itself; for `handle` the application has checked it already.
    """

    def __init__(
        self,
        accept: Accept,
        settings: EngineSettings | None = None,
        count: Count = count_nothing,
        registry: Registry | None = None,
        entrance: Entrance | None = None,
        unsent: Unsent | None = None,
        turns: FairTurns | None = None,
        share: FairShare | None = None,
    ) -> None:
        self.settings = settings or EngineSettings()
        if registry is None:
            registry = Registry(self.settings.max_connections, self.settings.max_connections_per_address)
        if unsent is None:
            unsent = Unsent(self.settings.max_unsent_of_all, count)
        self.sessions = Sessions(self.settings, count, registry, unsent, share)
        self.turns = FairTurns() if turns is None else turns
        self._accept = accept
        self._count = count
        self._entrance = entrance or Entrance()
        self._paths: set[str] = set()

    def attach(self, app: web.Application, path: str = "/engine.io/") -> None:
        """Serve at `path`, with and without its last slash."""
        self._paths = {path, path.rstrip("/")}
        for variant in self._paths:
            app.router.add_route("*", variant, self.handle)

    def open(self, request: Handshake, transport: asyncio.Transport) -> bool:
        """Open a session over a websocket for a valid request, or return False without a response.

        `handle` then checks the request again, counts what is wrong, and reports it. Where an address has too many
        clients, or no handshakes left, both refuse it: it counts once too often in the log's `unlogged_before`.
        """
        opens = is_upgrade(request) and request.query.get("transport") == "websocket"
        if request.path not in self._paths or not opens or not self._entrance.admits(request):
            return False
        try:
            if self._verify(request, upgrade=True) is not None:
                return False
            head = response_head(request)
            session = self._admit(request)
        except (Rejected, HandshakeRefused):
            return False
        try:
            websocket = self._connection(request)
            hand_over(transport, websocket)
            write_response(transport, head, self._open_packet(session, upgrades=[]))
            self._start(session, websocket)
        except BaseException:
            self.sessions.cancel(session)
            raise
        return True

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request of the protocol."""
        upgrade = is_upgrade(request)
        try:
            return await self._answer(request, upgrade=upgrade)
        except Rejected as rejected:
            self._count(rejected.incident)
            return rejected.response(upgrade=upgrade)

    async def _answer(self, request: web.Request, *, upgrade: bool) -> web.StreamResponse:
        session = self._verify(request, upgrade=upgrade)
        if upgrade:
            return self._websocket(request, session)
        if session is not None:
            return await self._poll(request, session)
        return await self._open_polling(request)

    def _verify(self, request: Request, *, upgrade: bool) -> Session | None:
        """Check in the order of the reference server, so that a request with two faults gets the same answer."""
        transport = request.query.get("transport")
        if transport not in {"polling", "websocket"}:
            raise Rejected(ErrorCode.UNKNOWN_TRANSPORT)
        if "j" in request.query:  # JSONP, which executes in the page; no current browser needs it
            raise Rejected(ErrorCode.BAD_REQUEST)
        sid = request.query.get("sid")
        if not sid:
            if request.method != hdrs.METH_GET:
                raise Rejected(ErrorCode.BAD_HANDSHAKE_METHOD)
            if transport == "websocket" and not upgrade:
                raise Rejected(ErrorCode.BAD_REQUEST)
            return None
        session = self.sessions.find(sid)
        if session is None:
            raise Rejected(ErrorCode.UNKNOWN_SID)
        if not upgrade and session.form.value != transport:
            raise Rejected(ErrorCode.BAD_REQUEST)
        if request.query.get("EIO") != PROTOCOL:
            raise Rejected(ErrorCode.BAD_REQUEST)
        return session

    def _admit(self, request: Request) -> Session:
        if request.query.get("EIO") != PROTOCOL:
            raise Rejected(ErrorCode.UNSUPPORTED_PROTOCOL_VERSION)
        return self.sessions.admit(self._entrance.peers.address(request), self._entrance.credentials(request))

    async def _poll(self, request: web.Request, session: Session) -> web.StreamResponse:
        polling = session.carrier
        if not isinstance(polling, Polling):
            raise Rejected(ErrorCode.BAD_REQUEST)
        if request.method == hdrs.METH_GET:
            return await polling.get(request)
        if request.method == hdrs.METH_POST:
            return await polling.post(request, Pace(self.turns, self._entrance.peers.account(request)))
        # The reference answers 500, by which any stranger could raise the alarm for errors of ours.
        raise Rejected(ErrorCode.BAD_REQUEST, status=405, headers={hdrs.ALLOW: "GET, POST"})

    async def _open_polling(self, request: web.Request) -> web.StreamResponse:
        session = self._admit(request)
        polling = Polling(session)
        polling.send_text(self._open_packet(session, upgrades=["websocket"]))
        session.start(polling, self._accept, writable=False)
        return await polling.get(request)

    def _websocket(self, request: web.Request, session: Session | None) -> web.StreamResponse:
        try:
            head = response_head(request)
        except HandshakeRefused as refused:
            raise Rejected(ErrorCode.BAD_REQUEST, str(refused), headers=refused.headers) from refused
        may_open = request.query["transport"] == "websocket"
        if session is None and may_open:
            return self._open_websocket(request, head, self._admit(request))
        websocket = self._connection(request)
        response = switch_protocols(request, head, websocket)
        if response is None:
            return web.Response(status=400)
        if session is None or not may_open or not Upgrade.begin(session, websocket, self.sessions.upgrade_due):
            websocket.dismiss()  # as the reference: accepted, then closed
        return response

    def _open_websocket(self, request: web.Request, head: bytes, session: Session) -> web.StreamResponse:
        try:
            websocket = self._connection(request)
            response = switch_protocols(request, head, websocket, self._open_packet(session, upgrades=[]))
            if response is None:
                self.sessions.cancel(session)
                return web.Response(status=400)
            self._start(session, websocket)
        except BaseException:
            self.sessions.cancel(session)
            raise
        return response

    def _start(self, session: Session, websocket: WebSocketConnection) -> None:
        websocket.set_owner(session)
        session.start(websocket, self._accept, writable=True)

    def _connection(self, request: Request) -> WebSocketConnection:
        sessions = self.sessions
        return WebSocketConnection(
            self.settings.max_payload,
            sessions.closing,
            sessions.unsent,
            self.turns,
            self._entrance.peers.account(request),
            base64="b64" in request.query,
        )

    def _open_packet(self, session: Session, *, upgrades: list[str]) -> bytes:
        settings = self.settings
        return open_packet(
            session.sid,
            upgrades=upgrades,
            ping_interval=settings.ping_interval,
            ping_timeout=settings.ping_timeout,
            max_payload=settings.max_payload,
        )

    async def close(self, spread: float = 0.0, patience: float = 5.0) -> None:
        """Refuse new sessions and close the open ones one by one, over `spread` seconds.

        A client that does not close its end within `patience` seconds is cut off.

        Clients reconnect by themselves; because the closes are spread out, they do not all do so at once.
        """
        await self.sessions.registry.drain(spread)
        await self.sessions.drain(patience)
        self.sessions.close()
