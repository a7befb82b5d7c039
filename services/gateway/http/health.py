"""Reports to load balancers whether this process lives and should get traffic, and reveals nothing else."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from services.common.documents import dumps
from services.internal.readiness import Readiness

_UNCACHED = {"Cache-Control": "no-store"}


class Health:
    """`/healthz`: the process lives. `/readyz`: everything it needs is available.

    Only the operators' port reports what is missing, because that may reveal the addresses of Redis and MongoDB.
    """

    def __init__(self, readiness: Callable[[], Awaitable[Readiness]]) -> None:
        self._readiness = readiness

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, ready for ``app.add_routes``."""
        return [web.get("/healthz", self.healthz), web.get("/readyz", self.readyz)]

    async def healthz(self, _: web.Request) -> web.Response:
        """Answer 200: a process that can answer lives."""
        return _json({"status": "ok"}, 200)

    async def readyz(self, _: web.Request) -> web.Response:
        """Answer 200 when every check returns "ok", else 503."""
        found = await self._readiness()
        return _json({"status": found.status}, found.http_status)


def _json(body: dict[str, str], status: int) -> web.Response:
    return web.Response(status=status, body=dumps({**body}), content_type="application/json", headers=_UNCACHED)
