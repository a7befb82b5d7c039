"""Serves the watcher's health and metrics on a port of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from services.front.answering import answering
from services.watcher.leader import Parts
from services.watcher.settings import WatcherSettings


@asynccontextmanager
async def serve_health(settings: WatcherSettings, parts: Parts) -> AsyncIterator[None]:
    """Serve `/healthz`, `/readyz` and `/metrics` meanwhile; OSError when the port is taken."""

    async def healthz(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_request: web.Request) -> web.Response:
        checks = {health.what: health.error or "ok" for health in (parts.mongodb, parts.redis)}
        checks["oplog"] = parts.oplog.low or "ok"
        ready = parts.mongodb.is_up and parts.redis.is_up  # a short oplog is a warning: this watcher does what it can
        status = "ready" if ready else "unready"
        return web.json_response({"status": status, "checks": checks}, status=200 if ready else 503)

    async def metrics(_request: web.Request) -> web.Response:
        body = generate_latest(parts.metrics.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    async with answering(app, parts.metrics.connections, settings.watcher_host, settings.watcher_port):
        yield
