"""Shows to Prometheus how many connections are open, and how many there may be."""

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.front.connections import Connections


class ConnectionCollector(Collector):
    """Asks when Prometheus asks, so that nobody has to count."""

    def __init__(self, service: str, connections: Connections) -> None:
        self._service = service
        self._connections = connections

    def collect(self) -> Iterable[Metric]:
        """Return the figures of this moment."""
        open_now = GaugeMetricFamily(
            f"orders_{self._service}_connections",
            "Open TCP connections by what they are used for: silent (nothing asked yet), http, websocket, sse.",
            labels=["state"],
        )
        for state, count in self._connections.census().items():
            open_now.add_metric([state.value], count)
        yield open_now
        yield GaugeMetricFamily(
            f"orders_{self._service}_connections_limit",
            "Open TCP connections that there may be; beyond, silent ones are cut off, and then new ones refused.",
            value=float(self._connections.bounds.total),
        )
