"""Puts the gateway together and runs it until it is told to stop. Read this file first."""

from contextlib import AsyncExitStack

import structlog

from services.common.keys import StreamKeys
from services.common.outage import Outage
from services.common.outage_metrics import Dependency
from services.common.process import calm_the_collector
from services.gateway.catch_up import CatchUp
from services.gateway.feed import Feed, Limits
from services.gateway.history import History
from services.gateway.log import Log
from services.gateway.metrics import Metrics
from services.gateway.recipients import COMPILED
from services.gateway.redis_log import open_redis_log
from services.gateway.server import Server
from services.gateway.settings import GatewaySettings
from services.gateway.store import OrderStore
from services.gateway.stream import Stream

STREAM = "orders"

log = structlog.get_logger("gateway")


async def run(settings: GatewaySettings) -> None:
    """Serve until cancelled, then drain."""
    async with AsyncExitStack() as stack:
        metrics = Metrics()
        outage = Outage("redis")
        store = await stack.enter_async_context(OrderStore.open(settings.mongodb_uri))
        source = await stack.enter_async_context(open_redis_log(settings.redis_url, StreamKeys.of(STREAM)))
        history = History(store.database, STREAM)
        events = Log(settings.ring_events, settings.ring_bytes)
        catch_up = CatchUp(source, history, events, outage, metrics.resumed)
        stack.push_async_callback(catch_up.close)
        metrics.observe(catch_up.hub, events, [Dependency.of(outage), store.dependency])
        limits = Limits(settings.ring_events, settings.stale_seconds)
        feed = Feed(source, history, events, catch_up.hub, outage, limits)
        stream = Stream(catch_up.hub, feed.ready, feed.here, catch_up.locate, catch_up.locate_now)
        checks = {"mongodb": store.check, "redis": feed.check}
        server = Server(settings, store, stream, checks, metrics)
        await stack.enter_async_context(server.serving())
        log.info("Gateway started", port=settings.port, server=settings.server_name, compiled=COMPILED)
        calm_the_collector()
        await store.check()  # says at once if there is no MongoDB, though nobody has asked for an order yet
        await feed.run()
