"""Exports the state of a service's dependencies to Prometheus: whether they work, and how often they failed."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.common.dependency_health import DependencyHealth


class Dependency(NamedTuple):
    """A dependency of a service."""

    what: str
    works: Callable[[], bool]
    outages: Callable[[], int]

    @classmethod
    def of(cls, health: DependencyHealth) -> "Dependency":
        """Return the dependency that ``health`` tracks."""
        return cls(health.what, lambda: health.is_up, lambda: health.outages)


class DependencyCollector(Collector):
    """Reads the state on each scrape, so that nothing else has to update it."""

    def __init__(self, service: str, dependencies: Sequence[Dependency]) -> None:
        self._service = service
        self._dependencies = dependencies

    def collect(self) -> Iterable[Metric]:
        """Return the current figures."""
        up = GaugeMetricFamily(
            f"orders_{self._service}_dependency_up", "1 while the dependency works.", labels=["dependency"]
        )
        outages = CounterMetricFamily(
            f"orders_{self._service}_dependency_outages", "Outages of the dependency.", labels=["dependency"]
        )
        for dependency in self._dependencies:
            up.add_metric([dependency.what], float(dependency.works()))
            outages.add_metric([dependency.what], dependency.outages())
        return up, outages
