"""Exports the number of open connections and their limit to Prometheus."""

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.front.connections import Connections


class ConnectionCollector(Collector):
    """Reads the counts on each scrape, so that nothing else has to update them."""

    def __init__(self, service: str, connections: Connections) -> None:
        self._service = service
        self._connections = connections

    def collect(self) -> Iterable[Metric]:
        """Return the current figures."""
        open_now = GaugeMetricFamily(
            f"orders_{self._service}_connections",
            "Open TCP connections by use: silent (no request yet), http, websocket, sse.",
            labels=["state"],
        )
        for state, count in self._connections.census().items():
            open_now.add_metric([state.value], count)
        yield open_now
        yield GaugeMetricFamily(
            f"orders_{self._service}_connections_limit",
            "Limit of open TCP connections; beyond it, silent ones are evicted, then new ones are refused.",
            value=float(self._connections.bounds.total),
        )
