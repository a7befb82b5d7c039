"""The watcher's metrics for Prometheus."""

import time
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from services.common.cursor import Position
from services.common.dependency_health import DependencyHealth
from services.common.dependency_metrics import Dependency, DependencyCollector
from services.front.metrics import ConnectionCollector
from services.front.serving import few_connections


class WatcherMetrics:
    """The watcher's counters and gauges, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._events = Counter(
            "orders_watcher_events", "Changes published to Redis, including retries.", registry=self.registry
        )
        self._batch = Histogram(
            "orders_watcher_batch_events",
            "Changes in one batch.",
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
            registry=self.registry,
        )
        self._publish = Histogram(
            "orders_watcher_publish_seconds",
            "Time from sending a batch to Redis until its reply is read; in a backlog the next batch is encoded first.",
            buckets=(0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5),
            registry=self.registry,
        )
        self.leader = Gauge("orders_watcher_leader", "1 while this watcher holds the lease.", registry=self.registry)
        self.term = Gauge("orders_watcher_term", "The lease term of this watcher.", registry=self.registry)
        self._epochs = Counter(
            "orders_watcher_epochs",
            "New epochs, by the reason in the clients' resync.",
            ["reason"],
            registry=self.registry,
        )
        self._rebuilds = Counter(
            "orders_watcher_rebuilds", "Times the log in Redis was rebuilt.", registry=self.registry
        )
        self._failures = Counter(
            "orders_watcher_failures", "Failures, by what failed.", ["what"], registry=self.registry
        )
        refusals = Counter(
            "orders_watcher_refusals",
            "Connections that were refused, or closed before they sent a request.",
            ["kind"],
            registry=self.registry,
        )
        self.connections = few_connections(lambda refusal: refusals.labels(refusal.value).inc())
        self.registry.register(ConnectionCollector("watcher", self.connections))
        self.oplog_headroom = Gauge(
            "orders_watcher_oplog_headroom_seconds",
            "Seconds until the oplog no longer holds the saved token; infinite while it is not full.",
            registry=self.registry,
        )

        self._lag = Gauge(
            "orders_watcher_lag_seconds",
            "Age of the newest change when it was published, to the second; 0 when nothing is left to publish.",
            registry=self.registry,
        )
        self._seen = Gauge(
            "orders_watcher_last_look_timestamp_seconds",
            "When this watcher last published, or saw that there was nothing to publish.",
            registry=self.registry,
        )

    def observe(self, outages: Sequence[DependencyHealth]) -> None:
        """Export the state of these on each scrape."""
        self.registry.register(DependencyCollector("watcher", [Dependency.of(health) for health in outages]))

    def published(self, events: int, seconds: float, position: Position) -> None:
        """Count one batch, whose last change is at ``position``."""
        self._events.inc(events)
        self._batch.observe(events)
        self._publish.observe(seconds)
        now = time.time()
        self._lag.set(max(0.0, int(now) - (position.ts >> 32)))  # MongoDB's clock counts seconds
        self._seen.set(now)

    def idle(self) -> None:
        """Note that there is nothing left to publish."""
        self._lag.set(0)
        self._seen.set_to_current_time()

    def epoch_began(self, reason: str) -> None:
        """Count a new epoch."""
        self._epochs.labels(reason).inc()

    def rebuilt(self) -> None:
        """Count a rebuild of the log."""
        self._rebuilds.inc()

    def failed(self, what: str) -> None:
        """Count a failure of a dependency."""
        self._failures.labels(what).inc()
