"""Serves health, detailed readiness and metrics on a separate listener, which clients must not reach."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import hdrs, web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry

from services.common.authority import Authority, Hosts, listens_locally
from services.front.bodies import drain_unread_body, refuse_encoded
from services.front.checks import Check, checking
from services.front.connections import Connections
from services.internal.exposition import Exposition
from services.internal.readiness import Readiness, http_status, word
from services.internal.serving import serving

_UNCACHED = {"Cache-Control": "no-store"}


@asynccontextmanager
async def internal_listener(
    host: str,
    port: int,
    readiness: Callable[[], Readiness],
    registry: CollectorRegistry,
    connections: Connections,
) -> AsyncIterator[int]:
    """Serve `/healthz`, `/readyz` and `/metrics`; yield the port. Raise OSError when the port is taken."""

    shown = Exposition(registry)

    async def healthz(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"}, headers=_UNCACHED)

    async def readyz(_request: web.Request) -> web.Response:
        found = readiness()
        kinds = {kind: word(ready) for kind, ready in found.kinds.items()}
        body = {"status": word(found.ready), **kinds, "checks": dict(found.checks)}
        return web.json_response(body, status=http_status(found.ready), headers=_UNCACHED)

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=await shown.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application(middlewares=[drain_unread_body, checking(_for_us(host), refuse_encoded)])
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    async with serving(app, connections, host, port) as chosen:
        yield chosen


def _for_us(listens_on: str) -> Check:
    """Refuse other hosts on loopback, where a hostile page could reach us by DNS rebinding.

    Elsewhere the network controls access, and monitoring may use any name for us.
    """
    hosts = Hosts() if listens_locally(listens_on) else Hosts(("*",))

    def refuse_other_hosts(request: web.Request) -> web.Response | None:
        asked = Authority.parse(request.headers.get(hdrs.HOST, ""))
        if asked is None or not hosts.answer_to(asked.host):
            return web.Response(status=421, text="This server does not serve the requested host.\n")
        return None

    return refuse_other_hosts
