"""Exports how late a service's event loop runs its timers, and how much of that was its own work."""

from prometheus_client import CollectorRegistry, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class LoopLag:
    """Call it with each lag and the part that was work, as `measuring_lag` does."""

    def __init__(self, service: str, registry: CollectorRegistry) -> None:
        self._lag = Histogram(
            f"orders_{service}_loop_lag_seconds",
            "How late the event loop runs a timer; nobody is served meanwhile.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._work = Histogram(
            f"orders_{service}_loop_work_seconds",
            "Part of the event loop's lag that its own thread spent on the CPU: work done in one turn.",
            buckets=_SECONDS,
            registry=registry,
        )

    def __call__(self, lag: float, work: float) -> None:
        """Record one."""
        self._lag.observe(lag)
        self._work.observe(work)
