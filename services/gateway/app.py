"""Puts the gateway together and runs it until it is told to stop. Read this file first."""

from contextlib import AsyncExitStack

import structlog

from services.common.dependency_health import DependencyHealth
from services.common.dependency_metrics import Dependency
from services.common.loop_lag import measuring_lag
from services.common.process import tune_gc
from services.common.stream_spec import ORDERS, StreamSpec
from services.common.tasks import Tasks
from services.front.serving import few_connections
from services.gateway.catch_up import CatchUp
from services.gateway.edge.limits import Incident
from services.gateway.edge.unsent import Unsent
from services.gateway.feed import Feed, Limits
from services.gateway.history import History
from services.gateway.log import Log
from services.gateway.metrics import Metrics
from services.gateway.recipients import COMPILED
from services.gateway.recovery import SessionIds
from services.gateway.redis_log import RedisLog, open_redis_log
from services.gateway.replay import ReplayBounds
from services.gateway.server import Server
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

    What is opened first is closed last: the connections of clients are closed while changes still flow, then the feed
    ends, then Redis and MongoDB are left.
    """
    async with AsyncExitStack() as stack:
        metrics = Metrics()
        store = await stack.enter_async_context(OrderStore.open(settings.mongodb_uri))
        source = await stack.enter_async_context(open_redis_log(settings.redis_url, StreamKeys.of(ORDERS.name)))
        tasks = await stack.enter_async_context(Tasks())
        unsent = Unsent(settings.client_buffers_total_bytes, metrics.incident)
        feed, stream = open_stream(ORDERS, settings, store, source, unsent, metrics, tasks)
        tasks.keep("the return of MongoDB", store.await_return())
        ids = await _session_ids(settings, store, tasks)
        server = Server(settings, store, stream, ids, metrics, unsent, tasks)
        of_mongodb = {"mongodb": store.check, "collection": store.check_collection}
        ready = Checks({**of_mongodb, "redis": feed.check, "gateway": server.check})
        places = few_connections(lambda refusal: metrics.incident(Incident(refusal.value)))
        admin = internal_listener(settings.admin_host, settings.admin_port, ready, metrics.registry, places)
        admin_port = await stack.enter_async_context(admin)
        stack.enter_context(measuring_lag(metrics.lagged))
        await stack.enter_async_context(server.serving(ready))
        _say_where(settings, admin_port)
        tune_gc()
        await ready()  # says at once what is missing, though nobody has asked for an order yet
        await tasks.forever()


def open_stream(
    spec: StreamSpec,
    settings: GatewaySettings,
    store: OrderStore,
    source: RedisLog,
    unsent: Unsent,
    metrics: Metrics,
    tasks: Tasks,
) -> tuple[Feed, Stream]:
    """Follow a stream by ``tasks``: from Redis, for those that come late from the oplog, to the hub's clients."""
    health = DependencyHealth("redis")
    events = Log(settings.ring_events, settings.ring_bytes)
    history = History(store.database, spec.collection, store.primary)
    bounds = ReplayBounds(settings.replay_max_events, settings.replay_max_age_seconds)
    catch_up = CatchUp(source, history, events, health, metrics.resumed, tasks.spawn, bounds, metrics.replayed)
    feed = Feed(source, history, events, catch_up.hub, health, Limits(settings.ring_events, settings.stale_seconds))
    metrics.observe(catch_up.hub, events, unsent, [Dependency.of(health), store.dependency])
    catch_up.start(tasks)
    feed.start(tasks)
    return feed, Stream(catch_up.hub, feed.ready, feed.here, catch_up.locate, catch_up.locate_now)


async def _session_ids(settings: GatewaySettings, store: OrderStore, tasks: Tasks) -> SessionIds:
    ids = SessionIds(*secrets_in(settings.recovery_secret))
    if not secrets_in(settings.recovery_secret):
        shared = SharedSecret(store.database, ids)
        await shared.load()
        tasks.keep("the secret of session ids", shared.follow())
    return ids


def _say_where(settings: GatewaySettings, admin_port: int) -> None:
    name, port = settings.server_name, settings.port
    log.info("Gateway started", port=port, admin_port=admin_port, server=name, compiled=COMPILED)
    if not settings.is_local:
        log.warning(
            "There is no sign-in: whoever reaches this address may read, change and delete every order",
            host=settings.host,
            port=port,
        )
