"""Faces the clients: the routes, what surrounds them, and an orderly end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from aiohttp import web

from services import __version__
from services.common.authority import Hosts
from services.common.tasks import Tasks
from services.front.bodies import drain_unread_body, refuse_encoded
from services.front.connections import ConnectionBounds, Connections
from services.front.front import KEEPALIVE_SECONDS, UNREAD_SECONDS, Front
from services.front.runner import Runner
from services.gateway.access import Access
from services.gateway.edge.capacity import capacity
from services.gateway.edge.entrance import Entrance
from services.gateway.edge.fast_path import websocket_fast_path
from services.gateway.edge.limits import EngineSettings, Incident
from services.gateway.edge.origin import OriginPolicy
from services.gateway.edge.peer import Peers
from services.gateway.edge.registry import Registry
from services.gateway.edge.unsent import Unsent
from services.gateway.http.docs import Docs
from services.gateway.http.entrance import install_entrance
from services.gateway.http.headers import add_security_headers
from services.gateway.http.health import Health
from services.gateway.http.identity import anyone, install_identity, principal_of
from services.gateway.http.openapi import openapi_document
from services.gateway.http.page import WebPage
from services.gateway.http.problems import problems
from services.gateway.http.rest import EXPOSED_HEADERS, OrdersApi
from services.gateway.http.tickets_api import TicketsApi
from services.gateway.live.orders_namespace import LiveOrders
from services.gateway.metrics import GatewayMetrics
from services.gateway.recovery import SessionIds
from services.gateway.settings import GatewaySettings
from services.gateway.socketio.server import SocketServer
from services.gateway.sse.endpoint import SseSettings, SseTransport
from services.gateway.store import OrderStore
from services.gateway.stream import Stream
from services.gateway.tickets import SECONDS
from services.internal.readiness import Readiness

# Between the last connection that is accepted and the end of those that ask nothing: what was just sent is to arrive.
LINGER_SECONDS = 0.3

log = structlog.get_logger("gateway")


class GatewayServer:
    """All ways to reach this gateway."""

    def __init__(
        self,
        settings: GatewaySettings,
        store: OrderStore,
        stream: Stream,
        ids: SessionIds,
        metrics: GatewayMetrics,
        unsent: Unsent,
        tasks: Tasks,
        access: Access | None,
    ) -> None:
        self._settings = settings
        self._access = access
        principal = anyone if access is None else principal_of
        self._draining = False
        # For requests and closing handshakes that are under way when we stop: nobody waits longer for them than for the
        # drain, yet they are given a moment where there is none.
        self._patience = min(max(settings.drain_seconds, 0.25), 5.0)
        self._metrics = metrics
        self._tasks = tasks
        self._entrance = _entrance(settings, metrics)
        self._turns = stream.turns
        room = capacity(settings.max_connections)
        if room.clients < settings.max_connections:
            log.warning(
                "The limit of file descriptors allows fewer clients than MAX_CONNECTIONS",
                allowed=room.clients,
                max_connections=settings.max_connections,
            )
        self._connections = Connections(
            ConnectionBounds(
                total=room.connections,
                per_address=settings.max_connections_per_address,
                last_descriptor=room.last_descriptor,
            ),
            lambda refusal: metrics.incident(Incident(refusal.value)),
        )
        self._clients = Registry(room.clients, settings.max_connections_per_address)
        self._live = LiveOrders(
            stream,
            ids,
            settings.server_name,
            metrics.incident,
            metrics.disconnected,
            stall=settings.client_stall_seconds,
            doors=None if access is None else access.doors,
        )
        self._sockets = SocketServer(
            {"/": self._live}, _engine(settings), metrics.incident, self._clients, self._entrance, unsent, self._turns
        )
        self._sse = SseTransport(
            stream,
            self._clients,
            self._entrance.peers.account,
            settings.server_name,
            metrics.incident,
            metrics.disconnected,
            SseSettings(
                heartbeat=settings.sse_heartbeat_seconds,
                stall=settings.client_stall_seconds,
            ),
            unsent,
            principal=principal,
        )
        metrics.observe_connections(self._connections, self._clients, self._sockets)
        self._api = OrdersApi(
            store,
            stream.epoch,
            body_limit=settings.max_payload_bytes,
            account=self._entrance.peers.account,
            turns=self._turns,
            principal=principal,
        )
        self._page = WebPage(settings.web_dir, settings.client_dir)

    def application(self, ready: Callable[[], Readiness]) -> web.Application:
        """Return the routes and what surrounds them."""
        app = web.Application(middlewares=[drain_unread_body, self._metrics.time_request, problems(), refuse_encoded])
        app.on_response_prepare.append(add_security_headers)
        install_entrance(app, self._entrance)
        if self._access is not None:
            install_identity(app, self._access.doors)
            app.add_routes(TicketsApi(self._access.issue, SECONDS).routes())
        app.add_routes(self._sse.routes())  # before /api/orders/{id}
        app.add_routes(self._api.routes())
        app.add_routes(Docs(openapi_document(__version__)).routes())
        app.add_routes(Health(ready).routes())
        app.add_routes(self._page.routes())
        self._sockets.attach(app, "/socket.io/")
        return app

    @asynccontextmanager
    async def serving(self, ready: Callable[[], Readiness]) -> AsyncIterator[None]:
        """Serve meanwhile; then close the connections, spread over the drain time, so that a stop is no stampede."""
        runner = Runner(
            self.application(ready),
            keepalive_timeout=KEEPALIVE_SECONDS,
            shutdown_timeout=self._patience,  # aiohttp grants it twice
            tcp_keepalive=False,  # two hours; whether clients are there, pings and heartbeats find out
        )
        await runner.setup()
        try:
            self._tasks.keep("SSE heartbeats", self._sse.send_heartbeats())
            self._tasks.keep("Socket.IO marks", self._live.send_marks())
            with self._sse.stopping(), self._live.stopping():
                try:
                    async with self._listening(runner):
                        yield
                finally:
                    await asyncio.sleep(LINGER_SECONDS)
        finally:
            await runner.cleanup()

    @asynccontextmanager
    async def _listening(self, runner: web.AppRunner) -> AsyncIterator[None]:
        if runner.server is None:
            raise RuntimeError("the runner is not set up")
        settings = self._settings
        front = Front(
            runner.server,
            self._connections,
            websocket_fast_path(self._sockets.open),
            self._entrance.peers.counted_as,
            turns=self._turns,
            unread=max(
                UNREAD_SECONDS, 2 * settings.client_stall_seconds
            ),  # later than we drop a slow client, and count it
        )
        async with front.listening(settings.host, settings.port):
            try:
                yield
            finally:
                await self._drain()

    async def _drain(self) -> None:
        self._draining = True
        settings = self._settings
        # Without one of the tasks clients would wait for changes that do not come: they are better off elsewhere.
        delay, spread = (0.0, 0.0) if self._tasks.has_failed else (settings.drain_delay_seconds, settings.drain_seconds)
        log.info("Stopping, not ready for requests any more", served_for=delay)
        # Load balancers ask every second or so, and send requests here until then; and our clients are to go elsewhere.
        await asyncio.sleep(delay)
        log.info("Closing connections", count=len(self._clients))
        await self._clients.drain(spread)
        await self._sockets.close(patience=self._patience)

    def check(self) -> str:
        """Answer "ok", or that this gateway takes nobody in any more, for `/readyz`."""
        return "draining" if self._draining else "ok"

    def check_room(self) -> str:
        """Answer "ok", or that there is no room for another client, for `/readyz/stream`."""
        if self._clients.is_full:
            return f"full: {len(self._clients)} clients"
        return "out of descriptors" if self._connections.is_out_of_descriptors else "ok"


def _entrance(settings: GatewaySettings, metrics: GatewayMetrics) -> Entrance:
    return Entrance(
        Hosts(settings.allowed_hosts, addresses=not settings.is_local),
        OriginPolicy(settings.cors_origins, EXPOSED_HEADERS),
        Peers(settings.trusted_proxies, metrics.incident),
        metrics.incident,
    )


def _engine(settings: GatewaySettings) -> EngineSettings:
    return EngineSettings(
        server_name=settings.server_name,
        ping_interval=settings.ping_interval_seconds,
        ping_timeout=settings.ping_timeout_seconds,
        connect_timeout=settings.connect_timeout_seconds,
        max_payload=settings.max_payload_bytes,
        max_connections=settings.max_connections,
        max_connections_per_address=settings.max_connections_per_address,
        packets_per_second=settings.max_packets_per_second,
        max_unsent=settings.client_buffer_bytes,
    )
