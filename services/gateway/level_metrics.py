"""Gauges of what there is at the time of a scrape, beside those of how much there may be."""

from collections.abc import Sized

from prometheus_client import CollectorRegistry, Gauge

from services.front.connections import Connections
from services.front.metrics import ConnectionCollector
from services.gateway.edge.registry import Registry
from services.gateway.mongodb_gate import MongodbGate
from services.gateway.revocations import MOST_REVOCATIONS


class Levels:
    """The gauges; each `observe_…` is called once what it reads is there, and until then they are zero."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._sessions = self._gauge("sessions", "Engine.IO sessions, over polling and websockets.")
        self._admitted = self._gauge(
            "admitted_connections",
            "Clients that count against MAX_CONNECTIONS: Engine.IO sessions and event streams, until their connections "
            "are closed.",
        )
        self._admitted_limit = self._gauge(
            "admitted_connections_limit",
            "Limit of clients: MAX_CONNECTIONS, or fewer where the limit of file descriptors allows no more.",
        )
        self._admitted_limit_per_address = self._gauge(
            "address_connections_limit", "Limit of clients from one address (MAX_CONNECTIONS_PER_ADDRESS)."
        )
        self._revocations = self._gauge(
            "revocations",
            "Revocations that this gateway knows; orders_gateway_disconnects_total counts the connections that "
            "they ended.",
        )
        self._gauge("revocations_limit", "Limit of revocations that are remembered at once.").set(MOST_REVOCATIONS)
        self._mongodb_requests = self._gauge(
            "mongodb_requests", "Requests that this gateway has passed to MongoDB and that are still in flight."
        )
        self._mongodb_requests_limit = self._gauge(
            "mongodb_requests_limit",
            "Limit of requests that this gateway passes to MongoDB at once (MAX_MONGODB_REQUESTS).",
        )
        self._mongodb_requests_waiting = self._gauge(
            "mongodb_requests_waiting", "Requests that wait to be passed to MongoDB; after half a second they get 503."
        )

    def observe_connections(self, connections: Connections, clients: Registry, sessions: Sized) -> None:
        """Export how many there are, and how many there may be."""
        self._registry.register(ConnectionCollector("gateway", connections))
        self._sessions.set_function(sessions.__len__)
        self._admitted.set_function(clients.__len__)
        self._admitted_limit.set(clients.limit)
        self._admitted_limit_per_address.set(clients.limit_per_address)

    def observe_gate(self, gate: MongodbGate) -> None:
        """Export how many requests are at the gate before MongoDB."""
        self._mongodb_requests.set_function(lambda: gate.passing)
        self._mongodb_requests_limit.set(gate.at_once)
        self._mongodb_requests_waiting.set_function(lambda: gate.waiting)

    def observe_revocations(self, revocations: Sized) -> None:
        """Export how many are known."""
        self._revocations.set_function(revocations.__len__)

    def _gauge(self, name: str, documentation: str) -> Gauge:
        return Gauge(f"orders_gateway_{name}", documentation, registry=self._registry)
