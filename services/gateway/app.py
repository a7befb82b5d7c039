"""Puts the gateway together and runs it until it is told to stop. Read this file first."""

from contextlib import AsyncExitStack

import structlog

from services.common.dependency_health import DependencyHealth
from services.common.dependency_metrics import Dependency
from services.common.process import tune_gc
from services.common.tasks import run_until_first_exits
from services.gateway.catch_up import CatchUp
from services.gateway.feed import Feed, Limits
from services.gateway.history import History
from services.gateway.log import Log
from services.gateway.metrics import Metrics
from services.gateway.recipients import COMPILED
from services.gateway.redis_log import open_redis_log
from services.gateway.replay import ReplayBounds
from services.gateway.server import Server
from services.gateway.settings import GatewaySettings
from services.gateway.store import OrderStore
from services.gateway.stream import Stream
from services.redis.schema import StreamKeys

STREAM = "orders"

log = structlog.get_logger("gateway")


async def run(settings: GatewaySettings) -> None:
    """Serve until cancelled, then drain."""
    async with AsyncExitStack() as stack:
        metrics = Metrics()
        health = DependencyHealth("redis")
        store = await stack.enter_async_context(OrderStore.open(settings.mongodb_uri))
        source = await stack.enter_async_context(open_redis_log(settings.redis_url, StreamKeys.of(STREAM)))
        history = History(store.database, STREAM, store.primary)
        events = Log(settings.ring_events, settings.ring_bytes)
        bounds = ReplayBounds(settings.replay_max_events, settings.replay_max_age_seconds)
        catch_up = CatchUp(source, history, events, health, metrics.resumed, bounds, metrics.replayed)
        stack.push_async_callback(catch_up.close)
        metrics.observe(catch_up.hub, events, [Dependency.of(health), store.dependency])
        limits = Limits(settings.ring_events, settings.stale_seconds)
        feed = Feed(source, history, events, catch_up.hub, health, limits)
        stream = Stream(catch_up.hub, feed.ready, feed.here, catch_up.locate, catch_up.locate_now)
        checks = {"mongodb": store.check, "redis": feed.check}
        server = Server(settings, store, stream, checks, metrics)
        await stack.enter_async_context(server.serving())
        log.info("Gateway started", port=settings.port, server=settings.server_name, compiled=COMPILED)
        tune_gc()
        await store.check()  # says at once if there is no MongoDB, though nobody has asked for an order yet
        await run_until_first_exits(feed.run(), catch_up.run())
