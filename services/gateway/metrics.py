"""The gateway's metrics for Prometheus."""

import time
from collections import Counter as Tally
from collections.abc import Iterable, Sequence
from datetime import datetime

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.common.dependency_metrics import Dependency, DependencyCollector
from services.front.connections import Connections
from services.front.metrics import ConnectionCollector
from services.gateway.catch_up import Source
from services.gateway.edge.failures import Failures
from services.gateway.edge.limits import Incident
from services.gateway.edge.unsent import Unsent
from services.gateway.event import Event
from services.gateway.hub import Hub
from services.gateway.ring import Ring
from services.gateway.subscription import Mode
from services.gateway.wire.form import Form

log = structlog.get_logger("clients")

_TRANSPORTS = {Form.WEBSOCKET: "websocket", Form.POLLING: "polling", Form.SSE: "sse", Form.SSE_PLAIN: "sse"}
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})
_LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)
_LAG = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_DURATION = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class GatewayMetrics:
    """The gateway's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._events = Counter("orders_gateway_events", "Changes received from Redis.", registry=registry)
        self._deliveries = Counter(
            "orders_gateway_deliveries", "Writes to live clients, each of one or more changes.", registry=registry
        )
        self._latency = Histogram(
            "orders_gateway_commit_to_write_seconds",
            "Time from a change's commit in MongoDB to its write to all live clients; per batch, its oldest change.",
            buckets=_LATENCY,
            registry=registry,
        )
        self._disconnects = Counter(
            "orders_gateway_disconnects",
            "Closed connections, by transport and reason.",
            ["transport", "reason"],
            registry=registry,
        )
        self._incidents = Counter(
            "orders_gateway_incidents",
            "Refused requests, and connections that the client did not close itself.",
            ["kind"],
            registry=registry,
        )
        self._resumes = Counter(
            "orders_gateway_resumes",
            "Clients that came back with a cursor, by the source that served them.",
            ["source"],
            registry=registry,
        )
        self._replays = Counter(
            "orders_gateway_replays",
            "Replays from the oplog that ended: served, or the reason why the client had to resync.",
            ["outcome"],
            registry=registry,
        )
        self._requests = Histogram(
            "orders_gateway_request_seconds",
            "Duration of requests to the REST API, by method and status.",
            ["method", "status"],
            buckets=_DURATION,
            registry=registry,
        )
        self.sessions = Gauge(
            "orders_gateway_sessions", "Engine.IO sessions, over polling and websockets.", registry=registry
        )
        self.admitted = Gauge(
            "orders_gateway_admitted_connections",
            "Sessions and event streams that count against MAX_CONNECTIONS.",
            registry=registry,
        )
        self._lag = Histogram(
            "orders_gateway_loop_lag_seconds",
            "How late the event loop runs a timer: no client is served in that time.",
            buckets=_LAG,
            registry=registry,
        )
        self._lag_work = Histogram(
            "orders_gateway_loop_work_seconds",
            "Of this lag, the CPU time of the loop's own thread: work done in one turn.",
            buckets=_LAG,
            registry=registry,
        )

    def observe(self, hub: Hub, ring: Ring, unsent: Unsent, dependencies: Sequence[Dependency]) -> None:
        """Export their state at each scrape, and count the hub's deliveries."""
        self.registry.register(_StateCollector(hub, ring, unsent))
        self.registry.register(DependencyCollector("gateway", dependencies))
        hub.published = self.published
        hub.failed = Failures("A client was cut off because it could not be served", self.incident).note

    def observe_connections(self, connections: Connections) -> None:
        """Export how many are open."""
        self.registry.register(ConnectionCollector("gateway", connections))

    def published(self, events: Sequence[Event], writes: int) -> None:
        """Count one batch and its number of writes: a few updates per batch, none per client."""
        self._events.inc(len(events))
        self._deliveries.inc(writes)
        # The clocks of two machines may differ by more than the latency.
        self._latency.observe(max(0.0, time.time() - datetime.fromisoformat(events[0].at).timestamp()))

    def disconnected(self, transport: Form, reason: str) -> None:
        """Count the end of a connection."""
        log.debug("A client has gone", transport=_TRANSPORTS[transport], reason=reason)
        self._disconnects.labels(_TRANSPORTS[transport], reason).inc()

    def resumed(self, source: Source) -> None:
        """Count one client that came back."""
        log.debug("A client came back with a cursor", served_from=source.value)
        self._resumes.labels(source.value).inc()

    def lagged(self, lag: float, work: float) -> None:
        """Record how late the event loop ran a timer, and how much of that was its own work."""
        self._lag.observe(lag)
        self._lag_work.observe(work)

    def replayed(self, outcome: str) -> None:
        """Count one replay from the oplog."""
        self._replays.labels(outcome).inc()

    def incident(self, kind: Incident) -> None:
        """Count one."""
        log.debug("A client was refused or closed", kind=kind.value)
        self._incidents.labels(kind.value).inc()

    @web.middleware
    async def time_request(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Time requests to the REST API, except event streams, which last as long as their clients stay."""
        if not request.path.startswith("/api/orders") or request.path == "/api/orders/events":
            return await handler(request)
        started = time.perf_counter()
        response = await handler(request)
        # A client may send any word as a method, and each would stay a label for ever.
        method = request.method if request.method in _METHODS else "other"
        self._requests.labels(method, str(response.status)).observe(time.perf_counter() - started)
        return response


class _StateCollector(Collector):
    """The state of hub, ring and buffers at the time of a scrape."""

    def __init__(self, hub: Hub, ring: Ring, unsent: Unsent) -> None:
        self._hub = hub
        self._ring = ring
        self._unsent = unsent

    def collect(self) -> Iterable[Metric]:
        """Return the current values."""
        yield self._clients()
        yield _gauge("stale", "1 while clients are notified that their data may be old.", self._hub.stale is not None)
        groups = "Distinct byte streams sent to live clients, one per filter and form."
        yield _gauge("groups", groups, self._hub.groups)
        yield _gauge("ring_events", "Changes in the gateway's memory.", len(self._ring))
        yield _gauge("ring_bytes", "Memory of the changes in the ring, with cached forms.", self._ring.bytes)
        yield _gauge("unsent_bytes", "Bytes that wait here for clients whose connections are full.", self._unsent.bytes)
        here = _seconds(self._ring.position.ts)
        yield _gauge("position_seconds", "Commit time of the newest change here, or of the stream's position.", here)
        spans = {"ring": self._ring.floor.ts, "log": self._hub.log_floor.ts}
        reach = GaugeMetricFamily(
            "orders_gateway_reach_seconds",
            "How much history this gateway's ring and the log in Redis hold for returning clients.",
            labels=["source"],
        )
        for source, floor in spans.items():
            reach.add_metric([source], max(0.0, here - _seconds(floor)) if floor else 0.0)
        yield reach

    def _clients(self) -> Metric:
        family = GaugeMetricFamily(
            "orders_gateway_clients",
            "Clients by transport and by how they get changes: live, paused (backpressure; polling between two "
            "requests), replay (from the gateway's memory), behind (from Redis or the oplog), ahead (the stream has "
            "not reached their position).",
            labels=["transport", "mode"],
        )
        tally = Tally((_TRANSPORTS[form], mode) for form, mode in self._hub.census())
        for transport in dict.fromkeys(_TRANSPORTS.values()):
            for mode in Mode:
                family.add_metric([transport, mode.value], tally[transport, mode])
        return family


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(f"orders_gateway_{name}", documentation, value=float(value))


def _seconds(ts: int) -> int:
    return ts >> 32
