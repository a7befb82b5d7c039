"""The gateway's metrics for Prometheus."""

import time
from collections.abc import Iterable, Sequence, Sized
from datetime import datetime
from enum import StrEnum

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.common.closed_labels import ClosedLabels
from services.common.dependency_metrics import Dependency, DependencyCollector
from services.common.loop_lag_metrics import LoopLag
from services.common.process_metrics import observe_process
from services.front.connections import Connections
from services.front.metrics import ConnectionCollector
from services.gateway.catch_up import Source
from services.gateway.edge.failures import Failures
from services.gateway.edge.limits import DisconnectReason, Incident
from services.gateway.edge.registry import Registry
from services.gateway.edge.unsent import Unsent
from services.gateway.event import Event
from services.gateway.hub import Hub
from services.gateway.replays import ReplayOutcome
from services.gateway.resyncs import REASONS
from services.gateway.ring import Ring
from services.gateway.subscription import Mode, Reason
from services.gateway.wire.form import Form

log = structlog.get_logger("clients")


class Transport(StrEnum):
    """How a client is connected."""

    WEBSOCKET = "websocket"
    POLLING = "polling"
    SSE = "sse"


_TRANSPORTS = {
    Form.WEBSOCKET: Transport.WEBSOCKET,
    Form.POLLING: Transport.POLLING,
    Form.SSE: Transport.SSE,
    Form.SSE_PLAIN: Transport.SSE,
}
OTHER = "other"
_OF_ALL = ("500", "503", OTHER)
_OF_BODY = ("400", "408", "409", "413", "415", "422")
# By method, the statuses that the REST API documents; a client may send any word as a method, and ask for anything.
STATUSES = {
    "GET": ("200", "404", "422", *_OF_ALL),
    "HEAD": ("200", "404", "422", *_OF_ALL),
    "POST": ("201", *_OF_BODY, *_OF_ALL),
    "PUT": ("200", "404", *_OF_BODY, *_OF_ALL),
    "DELETE": ("200", "404", "409", "422", *_OF_ALL),
    "OPTIONS": ("204", OTHER),
    OTHER: ("404", "405", OTHER),
}
_LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)
_DURATION = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class GatewayMetrics:
    """The gateway's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        observe_process("gateway", registry)
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
        disconnects = Counter(
            "orders_gateway_disconnects",
            "Closed connections, by transport and reason.",
            ["transport", "reason"],
            registry=None,
        )
        self._disconnects = ClosedLabels.of(registry, disconnects, transport=Transport, reason=DisconnectReason)
        incidents = Counter(
            "orders_gateway_incidents",
            "Refused requests, and connections that the client did not close itself.",
            ["kind"],
            registry=None,
        )
        self._incidents = ClosedLabels.of(registry, incidents, kind=Incident)
        resumes = Counter(
            "orders_gateway_resumes",
            "Clients that came back with a cursor, by the source that served them.",
            ["source"],
            registry=None,
        )
        self._resumes = ClosedLabels.of(registry, resumes, source=Source)
        resyncs = Counter(
            "orders_gateway_resyncs", "Clients that were told to resync, by reason.", ["reason"], registry=None
        )
        self._resyncs = ClosedLabels.of(registry, resyncs, reason=REASONS)
        replays = Counter(
            "orders_gateway_replays",
            "Replays from the oplog that ended: served, or the reason why the client had to resync.",
            ["outcome"],
            registry=None,
        )
        self._replays = ClosedLabels.of(registry, replays, outcome=ReplayOutcome)
        requests = Histogram(
            "orders_gateway_request_seconds",
            "Duration of requests to the REST API, by method and status; those that it does not document are `other`.",
            ["method", "status"],
            registry=None,
            buckets=_DURATION,
        )
        documented = ((method, status) for method, statuses in STATUSES.items() for status in statuses)
        self._requests = ClosedLabels(registry, requests, ("method", "status"), documented)
        self.sessions = Gauge(
            "orders_gateway_sessions", "Engine.IO sessions, over polling and websockets.", registry=registry
        )
        self.admitted = Gauge(
            "orders_gateway_admitted_connections",
            "Sessions and event streams that count against MAX_CONNECTIONS.",
            registry=registry,
        )
        self.admitted_limit = Gauge(
            "orders_gateway_admitted_connections_limit",
            "Most of these: MAX_CONNECTIONS, or as many as the limit of file descriptors allows.",
            registry=registry,
        )
        self.admitted_limit_per_address = Gauge(
            "orders_gateway_address_connections_limit",
            "Most of these from one address: MAX_CONNECTIONS_PER_ADDRESS.",
            registry=registry,
        )
        self.loop_lag = LoopLag("gateway", registry)

    def observe(self, hub: Hub, ring: Ring, unsent: Unsent, dependencies: Sequence[Dependency]) -> None:
        """Export their state at each scrape, and count the hub's deliveries."""
        self.registry.register(_StateCollector(hub, ring, unsent))
        self.registry.register(DependencyCollector("gateway", dependencies))
        hub.published = self.published
        hub.failed = Failures("A client was cut off because it could not be served", self.incident).note

    def observe_connections(self, connections: Connections, clients: Registry, sessions: Sized) -> None:
        """Export how many there are, and how many there may be."""
        self.registry.register(ConnectionCollector("gateway", connections))
        self.sessions.set_function(sessions.__len__)
        self.admitted.set_function(clients.__len__)
        self.admitted_limit.set(clients.limit)
        self.admitted_limit_per_address.set(clients.limit_per_address)

    def published(self, events: Sequence[Event], writes: int) -> None:
        """Count one batch and its number of writes: a few updates per batch, none per client."""
        self._events.inc(len(events))
        self._deliveries.inc(writes)
        # The clocks of two machines may differ by more than the latency.
        self._latency.observe(max(0.0, time.time() - datetime.fromisoformat(events[0].at).timestamp()))

    def disconnected(self, form: Form, reason: DisconnectReason) -> None:
        """Count the end of a connection."""
        transport = _TRANSPORTS[form]
        log.debug("A client has gone", transport=transport.value, reason=reason.value)
        self._disconnects[transport, reason].inc()

    def resumed(self, source: Source) -> None:
        """Count one client that came back."""
        log.debug("A client came back with a cursor", served_from=source.value)
        self._resumes[source,].inc()

    def resynced(self, reason: Reason, clients: int) -> None:
        """Count clients that must resync."""
        self._resyncs[reason,].inc(clients)

    def replayed(self, outcome: ReplayOutcome) -> None:
        """Count one replay from the oplog."""
        self._replays[outcome,].inc()

    def incident(self, kind: Incident) -> None:
        """Count one."""
        log.debug("A client was refused or closed", kind=kind.value)
        self._incidents[kind,].inc()

    @web.middleware
    async def time_request(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Time requests to the REST API, except event streams, which last as long as their clients stay."""
        if not request.path.startswith("/api/orders") or request.path == "/api/orders/events":
            return await handler(request)
        started = time.perf_counter()
        response = await handler(request)
        method = request.method if request.method in STATUSES else OTHER
        asked = method, str(response.status)
        self._requests[asked if asked in self._requests else (method, OTHER)].observe(time.perf_counter() - started)
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
        yield self._sent()
        yield _gauge("stale", "1 while clients are notified that their data may be old.", self._hub.stale is not None)
        groups = "Distinct byte streams sent to live clients, one per filter and form."
        yield _gauge("groups", groups, self._hub.groups)
        yield _gauge("ring_events", "Changes in the gateway's memory.", len(self._ring))
        yield _gauge("ring_events_limit", "Most changes in memory: RING_EVENTS.", self._ring.most_events)
        yield _gauge("ring_bytes", "Memory of the changes in the ring, with cached forms.", self._ring.bytes)
        yield _gauge("ring_bytes_limit", "Most memory of these: RING_BYTES.", self._ring.most_bytes)
        yield _gauge("unsent_bytes", "Bytes that wait here for clients whose connections are full.", self._unsent.bytes)
        limit = "Most such bytes: CLIENT_BUFFERS_TOTAL_BYTES; beyond, the clients slow the longest are cut off."
        yield _gauge("unsent_bytes_limit", limit, self._unsent.limit)
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
        census = self._hub.census()
        for transport, forms in _forms().items():
            for mode in Mode:
                family.add_metric([transport.value, mode.value], sum(census.get((form, mode), 0) for form in forms))
        return family

    def _sent(self) -> Metric:
        family = CounterMetricFamily(
            "orders_gateway_sent_bytes",
            "Bytes of changes written to clients, live or catching up; greetings, pings and REST are not among them.",
            labels=["transport"],
        )
        for transport, forms in _forms().items():
            family.add_metric([transport.value], sum(self._hub.sent_bytes(form) for form in forms))
        return family


def _forms() -> dict[Transport, list[Form]]:
    return {transport: [form for form in Form if _TRANSPORTS[form] is transport] for transport in Transport}


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(f"orders_gateway_{name}", documentation, value=float(value))


def _seconds(ts: int) -> int:
    return ts >> 32
