"""Opens the listener for clients, and stops in an orderly way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from aiohttp import web

from services.common.tasks import Tasks
from services.front.front import KEEPALIVE_SECONDS, UNREAD_SECONDS, Front
from services.front.runner import Runner
from services.gateway.edge.fast_path import websocket_fast_path
from services.gateway.endpoints import Endpoints
from services.gateway.settings import GatewaySettings
from services.internal.readiness import Readiness

# Wait so long after the listener closes, so that bytes just sent arrive before idle connections are cut.
LINGER_SECONDS = 0.3

log = structlog.get_logger("gateway")


class GatewayServer:
    """Serves all endpoints, from the start to the end of the drain."""

    def __init__(self, settings: GatewaySettings, endpoints: Endpoints, tasks: Tasks) -> None:
        self._settings = settings
        self._endpoints = endpoints
        self._tasks = tasks
        # The operators' listener opens first, and must not call a gateway ready that nobody can reach yet.
        self._state = "starting"
        # Patience for requests in flight and closing handshakes: at most the drain time, at least 0.25 s.
        self._patience = min(max(settings.drain_seconds, 0.25), 5.0)

    @asynccontextmanager
    async def serving(self, ready: Callable[[], Readiness]) -> AsyncIterator[None]:
        """Serve meanwhile; then close the connections, spread over the drain time, so that a stop is no stampede."""
        runner = Runner(
            self._endpoints.application(ready),
            keepalive_timeout=KEEPALIVE_SECONDS,
            shutdown_timeout=self._patience,  # aiohttp grants it twice
            # The kernel's keepalive takes two hours; pings and heartbeats detect dead clients sooner.
            tcp_keepalive=False,
        )
        await runner.setup()
        try:
            self._tasks.keep("SSE heartbeats", self._endpoints.sse.send_heartbeats())
            self._tasks.keep("Socket.IO marks", self._endpoints.live.send_marks())
            with self._endpoints.sse.stopping(), self._endpoints.live.stopping():
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
            self._endpoints.connections,
            websocket_fast_path(self._endpoints.sockets.open),
            self._endpoints.entrance.peers.counted_as,
            turns=self._endpoints.turns,
            # Later than we drop a slow client, and count it.
            unread=max(UNREAD_SECONDS, 2 * settings.client_stall_seconds),
            overload=self._endpoints.request_deadline.overload(),
            unsent=self._endpoints.unsent,
        )
        async with front.listening(settings.host, settings.port):
            self._state = "ok"
            try:
                yield
            finally:
                await self._drain()

    async def _drain(self) -> None:
        self._state = "draining"
        settings = self._settings
        # Without one of the tasks clients would wait for changes that do not come: they are better off elsewhere.
        delay, spread = (0.0, 0.0) if self._tasks.has_failed else (settings.drain_delay_seconds, settings.drain_seconds)
        log.info("Stopping, no longer ready for new requests", served_for=delay)
        # Load balancers ask every second or so, and send requests here until then; and our clients are to go elsewhere.
        await asyncio.sleep(delay)
        log.info("Closing connections", count=len(self._endpoints.clients))
        await self._endpoints.clients.drain(spread)
        await self._endpoints.sockets.close(patience=self._patience)

    def check(self) -> str:
        """Answer "ok", or that this gateway takes nobody in yet or any more, for `/readyz`."""
        return self._state

    def check_room(self) -> str:
        """Answer "ok", or that there is no room for another client, for `/readyz/stream`."""
        if self._endpoints.clients.is_full:
            return f"full: {len(self._endpoints.clients)} clients"
        return "out of descriptors" if self._endpoints.connections.is_out_of_descriptors else "ok"
