"""Builds the watcher and runs it until it is cancelled. Read this file first."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from functools import partial
from typing import Any

import structlog
from pymongo import AsyncMongoClient
from pymongo.errors import ConfigurationError
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from services.common.dependency_health import DependencyHealth
from services.common.error_text import error_text
from services.common.loop_lag import measuring_lag
from services.common.process import tune_gc
from services.common.secret_files import unusable_uri
from services.common.stream_spec import DEFAULT_DATABASE, ORDERS
from services.common.tasks import Tasks, leaves
from services.mongodb.change_stream import ChangeStream
from services.mongodb.cursor_choice import CursorChoice
from services.mongodb.driver import mend_driver
from services.mongodb.primary import Primary
from services.redis.client import redis_client
from services.redis.schema import StreamKeys
from services.watcher import lease
from services.watcher.health import serve_health
from services.watcher.leader import Leader, Parts
from services.watcher.log_metrics import LogMetrics
from services.watcher.log_upkeep import LogUpkeep
from services.watcher.metrics import WatcherDependency, WatcherMetrics
from services.watcher.oplog import OplogWindow
from services.watcher.publisher import Fenced, Publisher, ping
from services.watcher.redis_memory import watch_memory
from services.watcher.relay import RelayBounds
from services.watcher.settings import WatcherSettings
from services.watcher.state import LeaseLost, StateUnavailable, StreamState

LAG_INTERVAL = 0.05  # seconds: nobody waits for a watcher but the stream, so it need not wake up more often

log = structlog.get_logger("watcher")


async def run(settings: WatcherSettings) -> None:
    """Watch until cancelled."""
    async with AsyncExitStack() as stack:
        primary = Primary()
        try:
            client = await stack.enter_async_context(_mongo(settings.mongodb_uri, primary))
        except (ConfigurationError, ValueError, OSError) as error:
            raise unusable_uri("MONGODB_URI", settings.mongodb_uri, error) from None
        redis = await stack.enter_async_context(_redis(settings.redis_url))
        database = client.get_default_database(DEFAULT_DATABASE)
        metrics = WatcherMetrics()
        cursors = CursorChoice()
        parts = Parts(
            stream=ChangeStream(
                database,
                ORDERS.collection,
                primary,
                settings.stall_seconds,
                cursors.open,
                visible=settings.visible_fields,
            ),
            state=StreamState(database["stream_state"], ORDERS.name, settings.lease_seconds),
            bounds=RelayBounds(settings.batch_max_events, settings.queue_max_events),
            visible=settings.visible_fields,
            window=settings.replay_window_seconds,
            metrics=metrics,
            mongodb=DependencyHealth(WatcherDependency.MONGODB),
            redis=DependencyHealth(WatcherDependency.REDIS),
            oplog=OplogWindow(client, settings.oplog_warning_seconds, metrics),
        )
        metrics.observe(
            [parts.mongodb, parts.redis],
            ahead=settings.queue_max_events,
            batch=settings.batch_max_events,
            log=settings.log_max_events,
        )
        stack.enter_context(measuring_lag(metrics.loop_lag, LAG_INTERVAL))
        await stack.enter_async_context(serve_health(settings, parts))
        tasks = await stack.enter_async_context(Tasks())
        tasks.keep("checking the collection", parts.stream.kind.keep_checked())
        log_metrics = LogMetrics(metrics.registry)
        tasks.keep("watching the memory of Redis", watch_memory(redis, log_metrics))
        log.info("Watcher started", port=settings.watcher_port, owner=parts.state.owner)
        tune_gc()
        await _lead_forever(parts, redis, settings, log_metrics)


async def _lead_forever(parts: Parts, redis: Redis, settings: WatcherSettings, log_metrics: LogMetrics) -> None:
    above, keys = 0, StreamKeys.of(ORDERS.name)
    while True:
        while_waiting = partial(ping, redis, parts.redis)
        term = await lease.acquire(parts.state, parts.mongodb, while_waiting, above)
        publisher = Publisher(redis, keys, term, settings.log_max_events, settings.log_max_bytes, log_metrics.trimmed)
        upkeep = LogUpkeep(redis, keys, term, settings.log_max_seconds, publisher.size, log_metrics)
        leader = Leader(parts, publisher, term)
        try:
            async with _holding_lease(parts, term, settings.lease_seconds) as tasks, aclosing(publisher):
                tasks.keep("keeping the log short", upkeep.watch(leader.published_until))
                await leader.lead()
        except* LeaseLost as lost:
            log.warning("The lease is lost, standing by", error=error_text(leaves(lost)[0]))
        except* Fenced as fenced:
            above = max(error.term for error in leaves(fenced))
            log.warning("A newer term has claimed the log, this one is over", term=term, claimed=above)


@asynccontextmanager
async def _holding_lease(parts: Parts, term: int, seconds: float) -> AsyncIterator[Tasks]:
    """Hold the lease within the context, and release it afterwards, so that a standby takes over at once.

    The tasks that it gives run until then.
    """
    parts.metrics.leader.set(1)
    parts.metrics.term.set(term)
    try:
        async with Tasks(LeaseLost) as tasks:
            tasks.keep("holding the lease", lease.hold(parts.state, term, seconds))
            yield tasks
    finally:
        parts.metrics.leader.set(0)
        with suppress(StateUnavailable, LeaseLost, TimeoutError):
            async with asyncio.timeout(seconds):
                await parts.state.release(term)


@asynccontextmanager
async def _mongo(uri: str, primary: Primary) -> "AsyncIterator[AsyncMongoClient[dict[str, Any]]]":
    mend_driver()
    # With the driver's defaults, a frozen primary would block the stream for half a minute.
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        uri,
        appname="orders-watcher",
        connectTimeoutMS=2000,
        socketTimeoutMS=5000,
        serverSelectionTimeoutMS=3000,
        heartbeatFrequencyMS=1000,
        event_listeners=[primary],
    )
    async with client:
        yield client


@asynccontextmanager
async def _redis(url: str) -> AsyncIterator[Redis]:
    # The driver's own retries would hide failures; ours are safe, since the scripts refuse duplicates.
    # Each caller has its own timeout; the client's would cost a task for each write and each read.
    options: dict[str, Any] = {"socket_connect_timeout": 2, "socket_timeout": None, "retry": Retry(NoBackoff(), 0)}
    redis = redis_client(url, StreamKeys.of(ORDERS.name).log, **options)
    try:
        yield redis
    finally:
        await redis.aclose()
