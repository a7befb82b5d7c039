"""Puts the gateway together and runs it until it is stopped. Read this file first."""

from collections.abc import Sequence
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
from services.gateway.access import Access, open_access
from services.gateway.access_settings import secrets_in
from services.gateway.catch_up import CatchUp
from services.gateway.edge.fair_share import FairShare
from services.gateway.edge.incidents import IncidentKind
from services.gateway.edge.peer import Peers
from services.gateway.edge.unsent import Unsent
from services.gateway.endpoints import Endpoints
from services.gateway.feed import Feed, FeedSettings
from services.gateway.history import History
from services.gateway.http.health import REST, STREAM
from services.gateway.metrics import GatewayMetrics
from services.gateway.order_history import OrderHistory
from services.gateway.recipients import COMPILED
from services.gateway.recovery import SessionIds
from services.gateway.redis_log import RedisLog, open_redis_log
from services.gateway.replay import ReplayBounds
from services.gateway.resyncs import Resyncs
from services.gateway.ring import Ring
from services.gateway.server import GatewayServer
from services.gateway.settings import GatewaySettings
from services.gateway.shared_limits import open_shared_limits
from services.gateway.shared_secret import SharedSecret
from services.gateway.sign_in.seal import Seal
from services.gateway.snapshot_chunks import SnapshotChunks
from services.gateway.snapshot_stream import Snapshots
from services.gateway.store import OrderStore
from services.gateway.stream import Stream
from services.internal.listener import internal_listener
from services.internal.readiness import Checks
from services.internal.serving import few_connections
from services.mongodb.order_changes import OrderChanges
from services.redis.schema import StreamKeys

log = structlog.get_logger("gateway")


async def run(settings: GatewaySettings) -> None:
    """Serve until cancelled, then drain.

    Resources close in reverse order: client connections while changes still flow, then the feed, then the connections
    to Redis and MongoDB.
    """
    async with AsyncExitStack() as stack:
        metrics = GatewayMetrics()
        keys = StreamKeys.of(ORDERS.name)
        store = await stack.enter_async_context(
            OrderStore.open(
                settings.mongodb_uri, visible=settings.visible_fields, at_once=settings.max_mongodb_requests
            )
        )
        metrics.observe_gate(store.gate)
        redis_log = await stack.enter_async_context(open_redis_log(settings.redis_url, keys, settings.visible_fields))
        tasks = await stack.enter_async_context(Tasks())
        share = FairShare(settings.limits, Peers(settings.trusted_proxies).is_crowd)
        shared = open_shared_limits(settings.redis_url, keys, share)
        tasks.keep("sharing what clients use", (await stack.enter_async_context(shared)).keep_shared())
        access = await stack.enter_async_context(open_access(settings, metrics.incident, tasks, store.database))
        unsent = Unsent(settings.client_buffers_total_bytes, metrics.incident)
        feed, stream, past = open_stream(ORDERS, settings, store, redis_log, unsent, metrics, tasks)
        tasks.keep("checking MongoDB", store.keep_checked())  # at once: what is missing is logged at the start
        ids = await _session_ids(settings, store, tasks, [] if access is None else access.seals)
        endpoints = Endpoints(settings, store, stream, ids, metrics, unsent, access, share=share, past=past)
        server = GatewayServer(settings, endpoints, tasks)
        if access is not None:
            metrics.levels.observe_revocations(access.revocations)
        ready = readiness(store, feed, server, access)
        places = few_connections(lambda refusal: metrics.incident(IncidentKind(refusal.value)))
        admin = internal_listener(settings.admin_host, settings.admin_port, ready, metrics.registry, places)
        admin_port = await stack.enter_async_context(admin)
        stack.enter_context(measuring_lag(metrics.loop_lag))
        await stack.enter_async_context(server.serving(ready))
        _log_start(settings, admin_port)
        tune_gc()
        await tasks.forever()


def readiness(store: OrderStore, feed: Feed, server: GatewayServer, access: Access | None = None) -> Checks:
    """Return what this gateway checks: REST needs MongoDB and not Redis, streams the reverse."""
    revoking = None if access is None else access.revoking
    identity = {} if revoking is None else {"revocations": revoking.check}
    return Checks(
        {
            **identity,
            "mongodb": store.mongodb_state,
            "collection": store.collection_state,
            "redis": feed.check,
            "room": server.check_room,
            "gateway": server.check,
        },
        kinds={
            REST: ("mongodb", "collection", "gateway", *identity),
            STREAM: ("redis", "room", "gateway", *identity),
        },
        harmless={"room"},  # a full gateway works
    )


def open_stream(
    spec: StreamSpec,
    settings: GatewaySettings,
    store: OrderStore,
    redis_log: RedisLog,
    unsent: Unsent,
    metrics: GatewayMetrics,
    tasks: Tasks,
) -> tuple[Feed, Stream, OrderHistory]:
    """Start a stream, which runs until ``tasks`` end.

    Changes come to the hub from Redis, and for clients that come back late from the oplog. Return the feed, the stream
    as the transports see it, and the history of its orders, which is read from the same places.
    """
    health = DependencyHealth("redis")
    ring = Ring(settings.ring_events, settings.ring_bytes)
    turns = FairTurns()
    history = History(store.database, spec.collection, store.primary, turns, settings.visible_fields)
    bounds = ReplayBounds(settings.replay_max_events, settings.replay_max_age_seconds)
    resyncs = Resyncs(metrics.resynced)
    catch_up = CatchUp(
        redis_log,
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
    feed = Feed(
        redis_log, history, ring, catch_up.hub, health, FeedSettings(settings.ring_events, settings.stale_seconds)
    )
    metrics.observe(catch_up.hub, ring, unsent, [Dependency.of(health), store.dependency])
    catch_up.start(tasks)
    feed.start(tasks)
    hub, current = catch_up.hub, feed.current_cursor
    snapshots = Snapshots(SnapshotChunks(store.below, turns, store.gate), hub, current, turns, tasks.spawn)
    oplog = OrderChanges(store.database, spec.collection, settings.visible_fields)
    past = OrderHistory(
        ring, redis_log, oplog, history, turns, bounds, lambda: hub.stale is not None, settings.visible_fields
    )
    stream = Stream(hub, feed.ready, current, catch_up.locate, catch_up.locate_now, turns, snapshots)
    return feed, stream, past


async def _session_ids(settings: GatewaySettings, store: OrderStore, tasks: Tasks, seals: Sequence[Seal]) -> SessionIds:
    ids = SessionIds(*secrets_in(settings.recovery_secret))
    if not secrets_in(settings.recovery_secret):
        shared = SharedSecret(store.database, ids, *seals)
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
