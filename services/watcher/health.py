"""Serves the watcher's health and metrics on a separate port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.internal.listener import internal_listener
from services.internal.readiness import Readiness
from services.watcher.leader import Parts
from services.watcher.settings import WatcherSettings


@asynccontextmanager
async def serve_health(settings: WatcherSettings, parts: Parts) -> AsyncIterator[int]:
    """Serve `/healthz`, `/readyz` and `/metrics`; yield the port. Raise OSError when the port is taken."""

    async def readiness() -> Readiness:
        kind = await parts.stream.kind.check()
        checks = {health.what: health.error or "ok" for health in (parts.mongodb, parts.redis)}
        # A short oplog is only a warning: this watcher still works.
        ready = parts.mongodb.is_up and parts.redis.is_up and kind == "ok"
        return Readiness(ready, {**checks, "collection": kind, "oplog": parts.oplog.low or "ok"})

    host, port, connections = settings.watcher_host, settings.watcher_port, parts.metrics.connections
    async with internal_listener(host, port, readiness, parts.metrics.registry, connections) as chosen:
        yield chosen
