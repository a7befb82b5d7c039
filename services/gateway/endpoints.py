"""The endpoints of this gateway, put together: REST, the page, SSE, Socket.IO, and what meets their connections."""

from collections.abc import Callable

import structlog
from aiohttp import web

from services.common.authority import Hosts
from services.common.settings import LogLevel
from services.front.connections import ConnectionBounds, Connections
from services.gateway.access import Access
from services.gateway.edge.capacity import Capacity, capacity
from services.gateway.edge.entrance import Entrance
from services.gateway.edge.fair_share import FairShare
from services.gateway.edge.incidents import IncidentKind
from services.gateway.edge.origin import OriginPolicy
from services.gateway.edge.peer import Peers
from services.gateway.edge.registry import Registry
from services.gateway.edge.unsent import Unsent
from services.gateway.engineio.settings import EngineSettings
from services.gateway.http.docs import docs
from services.gateway.http.health import Health
from services.gateway.http.history_api import HistoryApi
from services.gateway.http.identity import anyone, principal_of
from services.gateway.http.limits import RequestLimits
from services.gateway.http.middlewares import surround
from services.gateway.http.page import web_page
from services.gateway.http.request_deadline import RequestDeadline
from services.gateway.http.rest import EXPOSED_HEADERS, OrdersApi
from services.gateway.http.revocations_api import RevocationsApi
from services.gateway.http.tickets_api import TicketsApi
from services.gateway.live.orders_namespace import LiveOrders
from services.gateway.metrics import GatewayMetrics
from services.gateway.order_history import OrderHistory
from services.gateway.recovery import SessionIds
from services.gateway.settings import GatewaySettings
from services.gateway.socketio.server import SocketServer
from services.gateway.sse.endpoint import SseTransport
from services.gateway.sse.settings import SseSettings
from services.gateway.store import OrderStore
from services.gateway.stream import Stream
from services.gateway.tickets import SECONDS
from services.internal.readiness import Readiness

log = structlog.get_logger("gateway")


class Endpoints:
    """The transports, and the routes that lead to them."""

    def __init__(
        self,
        settings: GatewaySettings,
        store: OrderStore,
        stream: Stream,
        ids: SessionIds,
        metrics: GatewayMetrics,
        unsent: Unsent,
        access: Access | None,
        *,
        share: FairShare,
        past: OrderHistory,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self.unsent = unsent
        self._access = access
        self._authenticator = None if access is None else access.authenticator
        self._principal = anyone if access is None else principal_of
        room = _room(settings)
        self.turns = stream.turns
        self.entrance = _entrance(settings, metrics)
        self.connections = _connections(settings, room, metrics)
        self.clients = _clients(settings, room)
        account = self.entrance.peers.account
        self._limits = RequestLimits(share, self.entrance.peers.address, metrics.incident)
        self.request_deadline = RequestDeadline(
            store.gate, account, reports_timing=settings.log_level is LogLevel.DEBUG
        )
        self.live = self._live_orders(stream, ids, share)
        self.sockets = self._socket_server(unsent, share)
        self.sse = self._sse_transport(stream, unsent)
        self._api = self._orders_api(store, stream)
        self._history = HistoryApi(store, past, account, self._principal, settings.visible_fields.shows)
        self._page = web_page(settings.web_dir, settings.client_dir, settings.library_dir)
        metrics.levels.observe_connections(self.connections, self.clients, self.sockets)

    def application(self, ready: Callable[[], Readiness]) -> web.Application:
        """Return the routes and what surrounds them."""
        app = web.Application()
        timing = self._metrics.time_request
        surround(
            app,
            self.entrance,
            self.request_deadline,
            self._limits,
            time_request=timing,
            authenticator=self._authenticator,
        )
        if self._access is not None:
            self._add_access(app, self._access)
        app.add_routes(self.sse.routes())  # before /api/orders/{id}
        app.add_routes(self._api.routes())
        app.add_routes(self._history.routes())
        signs_in = bool(self._settings.oidc_issuer)
        app.add_routes(docs(tokens=self._access is not None, sign_in=signs_in).routes())
        app.add_routes(Health(ready).routes())
        app.add_routes(self._page.routes())
        self.sockets.attach(app, "/socket.io/")
        return app

    def _add_access(self, app: web.Application, access: Access) -> None:
        app.add_routes(access.sign_in_routes(self.entrance))
        app.add_routes(TicketsApi(access.issue, SECONDS).routes())
        if access.revoking is not None:
            app.add_routes(RevocationsApi(access.revoking, self.turns, self.entrance.peers.account).routes())

    def _live_orders(self, stream: Stream, ids: SessionIds, share: FairShare) -> LiveOrders:
        return LiveOrders(
            stream,
            ids,
            self._settings.server_name,
            self._metrics.incident,
            self._metrics.disconnected,
            stall=self._settings.client_stall_seconds,
            authenticator=self._authenticator,
            share=share,
            visible=self._settings.visible_fields,
        )

    def _socket_server(self, unsent: Unsent, share: FairShare) -> SocketServer:
        return SocketServer(
            {"/": self.live},
            _engine(self._settings),
            self._metrics.incident,
            self.clients,
            self.entrance,
            unsent,
            self.turns,
            share,
        )

    def _orders_api(self, store: OrderStore, stream: Stream) -> OrdersApi:
        return OrdersApi(
            store,
            stream.epoch,
            body_limit=self._settings.max_payload_bytes,
            account=self.entrance.peers.account,
            turns=self.turns,
            principal=self._principal,
            follow=self.sse.open_list,
            charge=self._limits.require_more,
        )

    def _sse_transport(self, stream: Stream, unsent: Unsent) -> SseTransport:
        settings = self._settings
        return SseTransport(
            stream,
            self.clients,
            self.entrance.peers.account,
            settings.server_name,
            self._metrics.incident,
            self._metrics.disconnected,
            SseSettings(heartbeat=settings.sse_heartbeat_seconds, stall=settings.client_stall_seconds),
            unsent,
            principal=self._principal,
            charge=self._limits.charge,
            visible=settings.visible_fields,
            authenticator=self._authenticator,
        )


def _room(settings: GatewaySettings) -> Capacity:
    room = capacity(settings.max_connections)
    if room.clients < settings.max_connections:
        log.warning(
            "The limit of file descriptors allows fewer clients than MAX_CONNECTIONS",
            allowed=room.clients,
            max_connections=settings.max_connections,
        )
    return room


def _clients(settings: GatewaySettings, room: Capacity) -> Registry:
    of_address = settings.max_connections_per_address
    return Registry(room.clients, of_address, settings.max_connections_per_subject or of_address)


def _connections(settings: GatewaySettings, room: Capacity, metrics: GatewayMetrics) -> Connections:
    bounds = ConnectionBounds(
        total=room.connections,
        per_address=settings.max_connections_per_address,
        last_descriptor=room.last_descriptor,
    )
    return Connections(bounds, lambda refusal: metrics.incident(IncidentKind(refusal.value)))


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
