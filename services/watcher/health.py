"""Serves the watcher's health and metrics on a separate port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.common.dependency_health import DependencyHealth
from services.internal.listener import internal_listener
from services.internal.readiness import Check, Checks
from services.watcher.leader import Parts
from services.watcher.settings import WatcherSettings


@asynccontextmanager
async def serve_health(settings: WatcherSettings, parts: Parts) -> AsyncIterator[int]:
    """Serve `/healthz`, `/readyz` and `/metrics`; yield the port. Raise OSError when the port is taken."""
    readiness = Checks(
        {
            "mongodb": _of(parts.mongodb),
            "redis": _of(parts.redis),
            "collection": lambda: parts.stream.kind.state,
            "oplog": lambda: parts.oplog.low or "ok",
        },
        harmless={"oplog"},  # a short one is only a warning: this watcher still works
    )
    host, port, connections = settings.watcher_host, settings.watcher_port, parts.metrics.connections
    async with internal_listener(host, port, readiness, parts.metrics.registry, connections) as chosen:
        yield chosen


def _of(health: DependencyHealth) -> Check:
    return lambda: health.error or "ok"
