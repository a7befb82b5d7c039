"""Puts the gateway together and runs it until it is told to stop. Read this file first."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import structlog
from aiohttp import web

from services.common.keys import StreamKeys
from services.common.outage import Outage
from services.gateway.catch_up import CatchUp
from services.gateway.feed import Feed, Limits
from services.gateway.history import History
from services.gateway.log import Log
from services.gateway.metrics import Metrics
from services.gateway.recovery import SessionIds
from services.gateway.redis_log import open_redis_log
from services.gateway.settings import GatewaySettings
from services.gateway.store import OrderStore
from services.gateway.stream import Stream
from services.gateway.transports.admission import Admission
from services.gateway.transports.cors import Cors
from services.gateway.transports.health import Health
from services.gateway.transports.limits import EngineSettings
from services.gateway.transports.live import LiveOrders
from services.gateway.transports.page import Page
from services.gateway.transports.peer import peer_address
from services.gateway.transports.problems import problems
from services.gateway.transports.rest import EXPOSED_HEADERS, OrdersApi
from services.gateway.transports.security_headers import add_security_headers
from services.gateway.transports.socketio import SocketServer
from services.gateway.transports.sse import SseSettings, SseTransport

STREAM = "orders"

log = structlog.get_logger("gateway")


async def run(settings: GatewaySettings) -> None:
    """Serve until cancelled, then drain."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(OrderStore.open(settings.mongodb_uri))
        source = await stack.enter_async_context(open_redis_log(settings.redis_url, StreamKeys.of(STREAM)))
        events = Log(settings.ring_events)
        outage = Outage("redis")
        metrics = Metrics()
        history = History(store.database, STREAM)
        catch_up = CatchUp(source, history, events, outage, metrics.resumed)
        stack.push_async_callback(catch_up.close)
        limits = Limits(settings.ring_events, settings.stale_seconds)
        feed = Feed(source, events, catch_up.hub, outage, limits)
        gateway = Gateway(settings, store, feed, catch_up, events, outage, metrics)
        await stack.enter_async_context(gateway.serving())
        log.info("Gateway started", port=settings.port, server=settings.server_name)
        await feed.run()


class Gateway:
    """The parts that face the clients."""

    def __init__(
        self,
        settings: GatewaySettings,
        store: OrderStore,
        feed: Feed,
        catch_up: CatchUp,
        events: Log,
        outage: Outage,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._outage = outage
        self._feed = feed
        self._draining = False
        self._hub = catch_up.hub
        admission = Admission(settings.max_connections, settings.max_connections_per_address)
        stream = Stream(catch_up.hub, feed.ready, feed.here, catch_up.locate)
        self._live = LiveOrders(
            stream,
            SessionIds(settings.recovery_secret.get_secret_value()),
            settings.server_name,
            metrics.incident,
            stall=settings.stall_seconds,
        )
        self._sockets = SocketServer({"/": self._live}, _engine(settings), metrics.incident)
        self._sse = SseTransport(
            stream,
            admission,
            partial(peer_address, trusted_proxies=settings.trusted_proxies),
            settings.server_name,
            metrics.incident,
            SseSettings(
                heartbeat=settings.sse_heartbeat_seconds,
                stall=settings.stall_seconds,
                write_high_water=settings.client_buffer_bytes,
                write_low_water=settings.client_buffer_bytes // 4,
            ),
        )
        self._api = OrdersApi(store, lambda: events.epoch, body_limit=settings.max_payload_bytes)
        self._page = Page(settings.web_dir, settings.client_dir)
        self._health = Health({"mongodb": store.check, "redis": self._redis, "gateway": self._accepting})
        self._metrics = metrics

    def application(self) -> web.Application:
        """Return the routes and what surrounds them."""
        app = web.Application(middlewares=[problems()])
        app.on_response_prepare.append(add_security_headers)
        Cors(self._settings.cors_origins, EXPOSED_HEADERS).install(app)
        app.add_routes(self._sse.routes())  # before /api/orders/{id}
        app.add_routes(self._api.routes())
        app.add_routes(self._health.routes())
        app.add_routes(self._metrics.routes())
        app.add_routes(self._page.routes())
        self._sockets.attach(app, "/socket.io/")
        return app

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve meanwhile; then close the connections, spread over the drain time, so that a stop is no stampede."""
        runner = web.AppRunner(self.application(), access_log=None, keepalive_timeout=75, shutdown_timeout=5)
        await runner.setup()
        try:
            async with self._sse.beating(), self._live.marking():
                await web.TCPSite(runner, self._settings.host, self._settings.port, backlog=4096).start()
                try:
                    yield
                finally:
                    await self._drain()
        finally:
            await runner.cleanup()

    async def _drain(self) -> None:
        self._draining = True  # the load balancer is to see it before its clients come back
        log.info("Closing connections", count=len(self._sockets) + len(self._sse))
        spread = self._settings.drain_seconds
        await asyncio.gather(self._sockets.close(spread), self._sse.close(spread))

    async def _redis(self) -> str:
        if not self._outage.over or self._feed.ready.is_set():
            return self._outage.error or self._hub.stale or "ok"
        return "no stream yet: is the watcher running?"

    async def _accepting(self) -> str:
        return "draining" if self._draining else "ok"


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
        write_high_water=settings.client_buffer_bytes,
        write_low_water=settings.client_buffer_bytes // 4,
        max_unsent=settings.client_buffer_bytes * 2,
        allowed_origins=settings.cors_origins,
        trusted_proxies=settings.trusted_proxies,
    )
