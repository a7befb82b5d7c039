"""What the watcher counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """The watcher's counters and gauges, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._events = Counter(
            "orders_watcher_events", "Changes published to Redis, repetitions included.", registry=self.registry
        )
        self._batch = Histogram(
            "orders_watcher_batch_events",
            "Changes in one batch.",
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
            registry=self.registry,
        )
        self._publish = Histogram(
            "orders_watcher_publish_seconds",
            "Time from handing a batch to Redis to its answer.",
            buckets=(0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5),
            registry=self.registry,
        )
        self.leader = Gauge("orders_watcher_leader", "1 while this watcher holds the lease.", registry=self.registry)
        self.term = Gauge("orders_watcher_term", "The lease term of this watcher.", registry=self.registry)
        self._epochs = Counter(
            "orders_watcher_epochs",
            "New epochs, by the reason that clients are told.",
            ["reason"],
            registry=self.registry,
        )
        self._rebuilds = Counter(
            "orders_watcher_rebuilds", "Times the log in Redis was rebuilt.", registry=self.registry
        )
        self._failures = Counter(
            "orders_watcher_failures", "Failures, by what failed.", ["what"], registry=self.registry
        )
        self.oplog_headroom = Gauge(
            "orders_watcher_oplog_headroom_seconds",
            "Seconds until the oplog will have lost the place of the saved token; infinite while it is not full.",
            registry=self.registry,
        )

    def published(self, events: int, seconds: float) -> None:
        """Count one batch."""
        self._events.inc(events)
        self._batch.observe(events)
        self._publish.observe(seconds)

    def epoch_began(self, reason: str) -> None:
        """Count a new epoch."""
        self._epochs.labels(reason).inc()

    def rebuilt(self) -> None:
        """Count a rebuild of the log."""
        self._rebuilds.inc()

    def failed(self, what: str) -> None:
        """Count a failure of a dependency."""
        self._failures.labels(what).inc()
