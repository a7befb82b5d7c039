"""What a scrape finds of the gateway's state: its clients, what it holds in memory, and how far it is."""

from collections.abc import Iterable
from enum import StrEnum

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.gateway.edge.unsent import Unsent
from services.gateway.hub import Hub
from services.gateway.ring import Ring
from services.gateway.subscription import Mode
from services.gateway.wire.form import Form


class Transport(StrEnum):
    """How a client is connected."""

    WEBSOCKET = "websocket"
    POLLING = "polling"
    SSE = "sse"


TRANSPORTS = {
    Form.WEBSOCKET: Transport.WEBSOCKET,
    Form.POLLING: Transport.POLLING,
    Form.SSE: Transport.SSE,
    Form.SSE_PLAIN: Transport.SSE,
}


class StateCollector(Collector):
    """The state of hub, ring and buffers at the time of a scrape."""

    def __init__(self, hub: Hub, ring: Ring, unsent: Unsent) -> None:
        self._hub = hub
        self._ring = ring
        self._unsent = unsent

    def collect(self) -> Iterable[Metric]:
        """Return the current values."""
        yield self._clients()
        yield self._sent()
        yield _gauge("stale", "1 while clients are told that their data may be stale.", self._hub.stale is not None)
        groups = "Distinct byte streams sent to live clients, one per filter, rights and wire format."
        yield _gauge("groups", groups, self._hub.groups)
        yield _gauge("ring_events", "Changes in this gateway's ring, its history in memory.", len(self._ring))
        yield _gauge(
            "ring_events_limit", "Limit of changes in this gateway's ring (twice RING_EVENTS).", self._ring.most_events
        )
        yield _gauge(
            "ring_bytes",
            "Memory of the changes in this gateway's ring, with their cached encoded forms.",
            self._ring.bytes,
        )
        yield _gauge(
            "ring_bytes_limit", "Limit of the memory of this gateway's ring (RING_BYTES).", self._ring.most_bytes
        )
        yield _gauge(
            "unsent_bytes", "Bytes that wait in this gateway for clients that read too slowly.", self._unsent.bytes
        )
        limit = "Limit of unsent bytes (CLIENT_BUFFERS_TOTAL_BYTES); beyond it, slow clients are cut off."
        yield _gauge("unsent_bytes_limit", limit, self._unsent.limit)
        here = _seconds(self._ring.position.ts)
        yield _gauge(
            "position_seconds", "Commit time of this gateway's position in the stream, in seconds since 1970.", here
        )
        spans = {"ring": self._ring.floor.ts, "log": self._hub.resume_points.log_floor.ts}
        reach = GaugeMetricFamily(
            "orders_gateway_reach_seconds",
            "Seconds of history that returning clients can be sent from this gateway's ring and from the log in Redis.",
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
            "Bytes of changes written to clients, live or catching up; without greetings, pings and REST.",
            labels=["transport"],
        )
        for transport, forms in _forms().items():
            family.add_metric([transport.value], sum(self._hub.sent_bytes(form) for form in forms))
        return family


def _forms() -> dict[Transport, list[Form]]:
    return {transport: [form for form in Form if TRANSPORTS[form] is transport] for transport in Transport}


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(f"orders_gateway_{name}", documentation, value=float(value))


def _seconds(ts: int) -> int:
    return ts >> 32
