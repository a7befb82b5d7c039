"""The gateway's metrics for Prometheus."""

import time
from collections.abc import Iterable, Sequence
from datetime import datetime

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry, Counter, Histogram

from services.common.closed_labels import ClosedLabels
from services.common.dependency_metrics import Dependency, DependencyCollector
from services.common.loop_lag_metrics import LoopLag
from services.common.process_metrics import observe_process
from services.gateway.catch_up import ServedFrom
from services.gateway.edge.failures import Failures
from services.gateway.edge.incidents import DisconnectReason, IncidentKind
from services.gateway.edge.unsent import Unsent
from services.gateway.event import Event
from services.gateway.http.accept import opens_stream
from services.gateway.http.paths import COLLECTION
from services.gateway.hub import Hub
from services.gateway.level_metrics import Levels
from services.gateway.mongodb_gate import MongodbGate
from services.gateway.replay import ReplayOutcome
from services.gateway.resyncs import REASONS
from services.gateway.ring import Ring
from services.gateway.state_metrics import TRANSPORTS, StateCollector, Transport
from services.gateway.subscription import Reason
from services.gateway.wire.form import Form

log = structlog.get_logger("clients")

OTHER = "other"
_OF_ALL = ("406", "429", "500", "503", OTHER)
_OF_BODY = ("400", "408", "409", "412", "413", "415", "422")
# By method, the statuses that the REST API documents; a client may send any word as a method, and ask for anything.
STATUSES = {
    "GET": ("200", "304", "400", "404", "412", "422", *_OF_ALL),
    "HEAD": ("200", "304", "400", "404", "412", "422", *_OF_ALL),
    "POST": ("200", "201", "404", *_OF_BODY, *_OF_ALL),
    "PUT": ("200", "404", *_OF_BODY, *_OF_ALL),
    "PATCH": ("200", "404", *_OF_BODY, *_OF_ALL),
    "DELETE": ("200", "400", "404", "409", "412", "422", *_OF_ALL),
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
        self.levels = Levels(registry)
        self.loop_lag = LoopLag("gateway", registry)
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
        self._disconnects = self._counters(
            "orders_gateway_disconnects",
            "Closed connections, by transport and reason.",
            transport=Transport,
            reason=DisconnectReason,
        )
        self._incidents = self._counters(
            "orders_gateway_incidents",
            "Refused requests, and connections that the client did not close itself.",
            kind=IncidentKind,
        )
        self._resumes = self._counters(
            "orders_gateway_resumes",
            "Clients that came back with a cursor, by the source that served them.",
            source=ServedFrom,
        )
        self._resyncs = self._counters(
            "orders_gateway_resyncs", "Clients that were told to resync, by reason.", reason=REASONS
        )
        self._replays = self._counters(
            "orders_gateway_replays",
            "Finished replays from the oplog: served, or the reason why the client had to resync.",
            outcome=ReplayOutcome,
        )
        requests = Histogram(
            "orders_gateway_request_seconds",
            "Duration of requests to the REST API, by method and status; undocumented ones are `other`.",
            ["method", "status"],
            registry=None,
            buckets=_DURATION,
        )
        documented = ((method, status) for method, statuses in STATUSES.items() for status in statuses)
        self._requests = ClosedLabels(registry, requests, ("method", "status"), documented)

    def _counters(self, name: str, documentation: str, **labels: Iterable[str]) -> ClosedLabels[Counter]:
        return ClosedLabels.of(self.registry, Counter(name, documentation, [*labels], registry=None), **labels)

    def observe(self, hub: Hub, ring: Ring, unsent: Unsent, dependencies: Sequence[Dependency]) -> None:
        """Export their state at each scrape, and count the hub's deliveries."""
        self.registry.register(StateCollector(hub, ring, unsent))
        self.registry.register(DependencyCollector("gateway", dependencies))
        hub.published = self.published
        hub.failed = Failures("A client was cut off because it could not be served", self.incident).note

    def observe_gate(self, gate: MongodbGate) -> None:
        """Export how many requests are at the gate before MongoDB, and count those that are turned away."""
        gate.turned_away = lambda: self.incident(IncidentKind.OVERLOADED)
        self.levels.observe_gate(gate)

    def published(self, events: Sequence[Event], writes: int) -> None:
        """Count one batch and its number of writes: a few updates per batch, none per client."""
        self._events.inc(len(events))
        self._deliveries.inc(writes)
        # The clocks of two machines may differ by more than the latency.
        self._latency.observe(max(0.0, time.time() - datetime.fromisoformat(events[0].at).timestamp()))

    def disconnected(self, form: Form, reason: DisconnectReason) -> None:
        """Count the end of a connection."""
        transport = TRANSPORTS[form]
        log.debug("A client has disconnected", transport=transport.value, reason=reason.value)
        self._disconnects[transport, reason].inc()

    def resumed(self, source: ServedFrom) -> None:
        """Count one client that came back."""
        log.debug("A client came back with a cursor", served_from=source.value)
        self._resumes[source,].inc()

    def resynced(self, reason: Reason, clients: int) -> None:
        """Count clients that must resync."""
        self._resyncs[reason,].inc(clients)

    def replayed(self, outcome: ReplayOutcome) -> None:
        """Count one replay from the oplog."""
        self._replays[outcome,].inc()

    def incident(self, kind: IncidentKind) -> None:
        """Count one."""
        log.debug("A client was refused or closed", kind=kind.value)
        self._incidents[kind,].inc()

    @web.middleware
    async def time_request(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Time requests to the REST API, except event streams, which last as long as their clients stay."""
        if not request.path.startswith(COLLECTION) or opens_stream(request):
            return await handler(request)
        started = time.perf_counter()
        response = await handler(request)
        method = request.method if request.method in STATUSES else OTHER
        asked = method, str(response.status)
        self._requests[asked if asked in self._requests else (method, OTHER)].observe(time.perf_counter() - started)
        return response
