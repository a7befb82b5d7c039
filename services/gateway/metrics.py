"""What the gateway counts, for Prometheus."""

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, generate_latest

from services.gateway.catch_up import Source
from services.gateway.transports.limits import Incident


class Metrics:
    """The gateway's counters and gauges, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._incidents = Counter(
            "orders_gateway_incidents",
            "Refusals, and ends of connections that were not the client's wish.",
            ["kind"],
            registry=self.registry,
        )

        self._resumes = Counter(
            "orders_gateway_resumes",
            "Clients that came back with a cursor, by where they were served from.",
            ["source"],
            registry=self.registry,
        )

    def resumed(self, source: Source) -> None:
        """Count one client that came back."""
        self._resumes.labels(source.value).inc()

    def incident(self, kind: Incident) -> None:
        """Count one."""
        self._incidents.labels(kind.value).inc()

    def routes(self) -> list[web.RouteDef]:
        """Return the route, ready for ``app.add_routes``."""
        return [web.get("/metrics", self._serve)]

    async def _serve(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
