"""The watcher's metrics for Prometheus."""

import time
from collections.abc import Sequence
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.common.closed_labels import ClosedLabels
from services.common.cursor import Position
from services.common.dependency_health import DependencyHealth
from services.common.dependency_metrics import Dependency, DependencyCollector
from services.common.loop_lag_metrics import LoopLag
from services.common.normalize import EpochReason
from services.common.process_metrics import observe_process
from services.front.connections import ConnectionRefusal
from services.front.metrics import ConnectionCollector
from services.internal.serving import few_connections


class WatcherDependency(StrEnum):
    """What a watcher needs, and what may fail."""

    MONGODB = "mongodb"
    REDIS = "redis"


class WatcherMetrics:
    """The watcher's counters and gauges, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        observe_process("watcher", self.registry)
        self.loop_lag = LoopLag("watcher", self.registry)
        self._events = Counter(
            "orders_watcher_events",
            "Changes published to Redis; a batch that is sent again counts once.",
            registry=self.registry,
        )
        self._batch = Histogram(
            "orders_watcher_batch_events",
            "Changes in one published batch.",
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
        epochs = Counter(
            "orders_watcher_epochs",
            "New epochs, by the reason that clients are given with resync.",
            ["reason"],
            registry=None,
        )
        self._epochs = ClosedLabels.of(self.registry, epochs, reason=EpochReason)
        self._rebuilds = Counter(
            "orders_watcher_rebuilds", "Times the log in Redis was rebuilt.", registry=self.registry
        )
        failures = Counter(
            "orders_watcher_failures", "Failures of MongoDB or Redis, by which of them failed.", ["what"], registry=None
        )
        self._failures = ClosedLabels.of(self.registry, failures, what=WatcherDependency)
        counted = Counter(
            "orders_watcher_refusals",
            "Connections that were refused, or closed before they sent a request.",
            ["kind"],
            registry=None,
        )
        refusals = ClosedLabels.of(self.registry, counted, kind=ConnectionRefusal)
        self.connections = few_connections(lambda refusal: refusals[refusal,].inc())
        self.registry.register(ConnectionCollector("watcher", self.connections))
        self.oplog_headroom = Gauge(
            "orders_watcher_oplog_headroom_seconds",
            "Seconds until the oplog loses changes that are not published yet; infinite while the oplog is not full.",
            registry=self.registry,
        )

        self.read_ahead = 0
        Gauge(
            "orders_watcher_read_ahead_events",
            "Changes read from MongoDB that Redis has not confirmed yet.",
            registry=self.registry,
        ).set_function(lambda: self.read_ahead)
        self._lag = Gauge(
            "orders_watcher_lag_seconds",
            "Age of the newest change when it was published, to the second; 0 when nothing is left to publish.",
            registry=self.registry,
        )
        self._seen = Gauge(
            "orders_watcher_last_look_timestamp_seconds",
            "When this watcher last published a change or found nothing to publish, in seconds since 1970.",
            registry=self.registry,
        )

    def observe(self, dependencies: Sequence[DependencyHealth], ahead: int, batch: int, log: int) -> None:
        """Export the state of these on each scrape, and the most changes read ahead, in a batch and in the log."""
        limits = {
            "orders_watcher_read_ahead_events_limit": (
                "Limit of changes read ahead of Redis (QUEUE_MAX_EVENTS).",
                ahead,
            ),
            "orders_watcher_batch_events_limit": ("Limit of changes in one batch (BATCH_MAX_EVENTS).", batch),
            "orders_watcher_log_events_limit": ("Limit of changes kept in Redis (LOG_MAX_EVENTS).", log),
        }
        for name, (documentation, most) in limits.items():
            Gauge(name, documentation, registry=self.registry).set(most)
        self.registry.register(DependencyCollector("watcher", [Dependency.of(health) for health in dependencies]))

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

    def epoch_began(self, reason: EpochReason) -> None:
        """Count a new epoch."""
        self._epochs[reason,].inc()

    def rebuilt(self) -> None:
        """Count a rebuild of the log."""
        self._rebuilds.inc()

    def failed(self, what: WatcherDependency) -> None:
        """Count a failure of a dependency."""
        self._failures[what,].inc()
