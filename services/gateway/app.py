"""Puts the gateway together and runs it until it is stopped. Read this file first."""

from contextlib import AsyncExitStack

import structlog

from services.common.auth import Auth
from services.common.dependency_health import DependencyHealth
from services.common.dependency_metrics import Dependency
from services.common.fair_turns import FairTurns
from services.common.loop_lag import measuring_lag
from services.common.process import tune_gc
from services.common.stream_spec import ORDERS, StreamSpec
from services.common.tasks import Tasks
from services.front.serving import few_connections
from services.gateway.access import open_access
from services.gateway.catch_up import CatchUp
from services.gateway.edge.limits import Incident
from services.gateway.edge.unsent import Unsent
from services.gateway.feed import Feed, FeedSettings
from services.gateway.history import History
from services.gateway.http.health import REST, STREAM
from services.gateway.metrics import GatewayMetrics
from services.gateway.recipients import COMPILED
from services.gateway.recovery import SessionIds
from services.gateway.redis_log import RedisLog, open_redis_log
from services.gateway.replay import ReplayBounds
from services.gateway.resyncs import Resyncs
from services.gateway.ring import Ring
from services.gateway.server import GatewayServer
from services.gateway.settings import GatewaySettings, secrets_in
from services.gateway.shared_secret import SharedSecret
from services.gateway.store import OrderStore
from services.gateway.stream import Stream
from services.internal.listener import internal_listener
from services.internal.readiness import Checks
from services.redis.schema import StreamKeys

log = structlog.get_logger("gateway")


async def run(settings: GatewaySettings) -> None:
    """Serve until cancelled, then drain.

    Resources close in reverse order: client connections while changes still flow, then the feed, then the connections
    to Redis and MongoDB.
    """
    async with AsyncExitStack() as stack:
        metrics = GatewayMetrics()
        store = await stack.enter_async_context(OrderStore.open(settings.mongodb_uri))
        source = await stack.enter_async_context(open_redis_log(settings.redis_url, StreamKeys.of(ORDERS.name)))
        tasks = await stack.enter_async_context(Tasks())
        access = await stack.enter_async_context(open_access(settings, metrics.incident, tasks))
        unsent = Unsent(settings.client_buffers_total_bytes, metrics.incident)
        feed, stream = open_stream(ORDERS, settings, store, source, unsent, metrics, tasks)
        tasks.keep("checking MongoDB", store.keep_checked())  # at once: what is missing is logged at the start
        ids = await _session_ids(settings, store, tasks)
        server = GatewayServer(settings, store, stream, ids, metrics, unsent, tasks, access)
        ready = readiness(store, feed, server)
        places = few_connections(lambda refusal: metrics.incident(Incident(refusal.value)))
        admin = internal_listener(settings.admin_host, settings.admin_port, ready, metrics.registry, places)
        admin_port = await stack.enter_async_context(admin)
        stack.enter_context(measuring_lag(metrics.loop_lag))
        await stack.enter_async_context(server.serving(ready))
        _log_start(settings, admin_port)
        tune_gc()
        await tasks.forever()


def readiness(store: OrderStore, feed: Feed, server: GatewayServer) -> Checks:
    """Return what this gateway checks: REST needs MongoDB and not Redis, streams the reverse."""
    return Checks(
        {
            "mongodb": store.mongodb_state,
            "collection": store.collection_state,
            "redis": feed.check,
            "room": server.check_room,
            "gateway": server.check,
        },
        kinds={REST: ("mongodb", "collection", "gateway"), STREAM: ("redis", "room", "gateway")},
        harmless={"room"},  # a full gateway works
    )


def open_stream(
    spec: StreamSpec,
    settings: GatewaySettings,
    store: OrderStore,
    source: RedisLog,
    unsent: Unsent,
    metrics: GatewayMetrics,
    tasks: Tasks,
) -> tuple[Feed, Stream]:
    """Run a stream in ``tasks``: from Redis, and from the oplog for clients that come back late, to the hub."""
    health = DependencyHealth("redis")
    ring = Ring(settings.ring_events, settings.ring_bytes)
    turns = FairTurns()
    history = History(store.database, spec.collection, store.primary, turns)
    bounds = ReplayBounds(settings.replay_max_events, settings.replay_max_age_seconds)
    resyncs = Resyncs(metrics.resynced)
    catch_up = CatchUp(
        source,
        history,
        ring,
        health,
        metrics.resumed,
        tasks.spawn,
        turns=turns,
        bounds=bounds,
        replayed=metrics.replayed,
        resyncs=resyncs,
    )
    feed = Feed(source, history, ring, catch_up.hub, health, FeedSettings(settings.ring_events, settings.stale_seconds))
    metrics.observe(catch_up.hub, ring, unsent, [Dependency.of(health), store.dependency])
    catch_up.start(tasks)
    feed.start(tasks)
    return feed, Stream(catch_up.hub, feed.ready, feed.current_cursor, catch_up.locate, catch_up.locate_now, turns)


async def _session_ids(settings: GatewaySettings, store: OrderStore, tasks: Tasks) -> SessionIds:
    ids = SessionIds(*secrets_in(settings.recovery_secret))
    if not secrets_in(settings.recovery_secret):
        shared = SharedSecret(store.database, ids)
        await shared.load()
        tasks.keep("following the secret of session ids", shared.follow())
    return ids


def _log_start(settings: GatewaySettings, admin_port: int) -> None:
    name, port, auth = settings.server_name, settings.port, settings.auth.value
    log.info("Gateway started", port=port, admin_port=admin_port, server=name, compiled=COMPILED, auth=auth)
    if settings.auth is Auth.NONE and not settings.is_local:
        log.warning(
            "There is no sign-in: anyone who can reach this address can read, change and delete every order",
            host=settings.host,
            port=port,
        )
