"""Tells load balancers whether this process lives and what it should get, and reveals nothing else."""

from collections.abc import Callable

from aiohttp import web

from services.common.documents import dumps
from services.internal.readiness import Readiness, http_status, word

REST, STREAM = "rest", "stream"

_UNCACHED = {"Cache-Control": "no-store"}


class Health:
    """`/healthz`: the process lives. `/readyz`: it takes REST requests. `/readyz/stream`: it takes new streams.

    Two questions, because the answers differ: without Redis, REST works and streams stand still, and a full gateway
    has room for requests but for no more clients.

    Only the operators' port reports what is missing, because that may reveal the addresses of Redis and MongoDB.
    """

    def __init__(self, readiness: Callable[[], Readiness]) -> None:
        self._readiness = readiness

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, ready for ``app.add_routes``."""
        return [
            web.get("/healthz", self.healthz),
            web.get("/readyz", self.readyz),
            web.get("/readyz/stream", self.readyz_stream),
        ]

    async def healthz(self, _: web.Request) -> web.Response:
        """Answer 200: a process that can answer lives."""
        return _json({"status": "ok"}, 200)

    async def readyz(self, _: web.Request) -> web.Response:
        """Answer 200 when this gateway takes REST requests, else 503."""
        return self._ready_for(REST)

    async def readyz_stream(self, _: web.Request) -> web.Response:
        """Answer 200 when this gateway takes new websockets, polling sessions and event streams, else 503."""
        return self._ready_for(STREAM)

    def _ready_for(self, kind: str) -> web.Response:
        ready = self._readiness().kinds[kind]
        return _json({"status": word(ready)}, http_status(ready))


def _json(body: dict[str, str], status: int) -> web.Response:
    return web.Response(status=status, body=dumps({**body}), content_type="application/json", headers=_UNCACHED)
