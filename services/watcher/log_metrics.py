"""The metrics of the log in Redis, and of Redis' memory."""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.common.closed_labels import ClosedLabels


class TrimReason(StrEnum):
    """Why the log was trimmed."""

    EVENTS = "events"  # LOG_MAX_EVENTS
    BYTES = "bytes"  # LOG_MAX_BYTES
    SECONDS = "seconds"  # LOG_MAX_SECONDS
    MEMORY = "memory"  # Redis was full


class RedisMemory(NamedTuple):
    """What Redis uses, and its limit; 0 is none. Both in bytes."""

    used: int
    limit: int


class LogExtent(NamedTuple):
    """How much the log holds; ``seconds`` lie between its oldest and its newest change."""

    events: int
    bytes: int
    seconds: int


class LogMetrics(Collector):
    """Figures that are not known are absent: those of the log where another watcher leads, those of Redis' memory where
    the user may not ask.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.memory: RedisMemory | None = None
        self.extent: LogExtent | None = None
        trims = Counter(
            "orders_watcher_log_trims",
            "Times the log in Redis was trimmed, by the limit that was reached.",
            ["reason"],
            registry=None,
        )
        self._trims = ClosedLabels.of(registry, trims, reason=TrimReason)
        registry.register(self)

    def trimmed(self, reason: TrimReason) -> None:
        """Count one trimming."""
        self._trims[reason,].inc()

    def collect(self) -> Iterable[Metric]:
        """Return the figures that are known."""
        memory, extent = self.memory, self.extent
        yield _gauge("redis_memory_bytes", "Bytes of memory that Redis uses.", memory and memory.used)
        yield _gauge(
            "redis_memory_limit_bytes", "Redis's maxmemory in bytes; 0 if there is none.", memory and memory.limit
        )
        yield _gauge("log_events", "Changes in the log in Redis.", extent and extent.events)
        yield _gauge("log_bytes", "Bytes of the log in Redis, as this watcher counts them.", extent and extent.bytes)
        yield _gauge(
            "log_seconds", "Seconds from the oldest to the newest change in the log.", extent and extent.seconds
        )


def _gauge(name: str, about: str, value: int | None) -> Metric:
    family = GaugeMetricFamily(f"orders_watcher_{name}", about)
    if value is not None:
        family.add_metric([], value)
    return family
