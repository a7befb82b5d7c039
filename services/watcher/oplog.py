"""Watches how long the oplog will still hold the changes that are not published yet."""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from pymongo.asynchronous.mongo_client import AsyncMongoClient
from pymongo.errors import PyMongoError

from services.common.tasks import raise_if_cancelled
from services.watcher.metrics import WatcherMetrics

EVERY_SECONDS = 10.0
FULL = 0.9  # an oplog with room left loses nothing, however short its window

log = structlog.get_logger("oplog")


class OplogWindow:
    """Seconds until the oplog loses changes that are not published yet, if it keeps filling at the same rate.

    This needs the right to read the database `local`; without it, or through mongos, the figure is unknown.
    """

    def __init__(
        self,
        client: "AsyncMongoClient[dict[str, Any]]",
        warning_seconds: float,
        metrics: WatcherMetrics,
    ) -> None:
        self._oplog = client["local"]["oplog.rs"]
        self._warning_seconds = warning_seconds
        self._metrics = metrics
        self.low: str | None = None  # the warning, for `/readyz`

    async def watch(self, published_until: Callable[[], int | None]) -> None:
        """Check periodically until cancelled; ``published_until`` returns a cluster time (u64), see `Leader`."""
        while True:
            try:
                self._report(await self.seconds(published_until()))
            except PyMongoError:
                self._metrics.oplog_headroom.set(float("nan"))  # the change stream itself reports when MongoDB is down
            raise_if_cancelled()
            await asyncio.sleep(EVERY_SECONDS)

    async def seconds(self, published_until: int | None) -> float:
        """Return how many seconds are left; infinity while nothing is lost from the oplog yet."""
        stats = await (await self._oplog.aggregate([{"$collStats": {"storageStats": {}}}])).next()
        storage = stats["storageStats"]
        if published_until is None or storage["size"] < storage["maxSize"] * FULL:
            return float("inf")
        first = await self._oplog.find_one(sort=[("$natural", 1)], projection={"ts": 1})
        return float("inf") if first is None else float((published_until >> 32) - first["ts"].time)

    def _report(self, seconds: float) -> None:
        self._metrics.oplog_headroom.set(seconds)
        low = seconds < self._warning_seconds
        if low and self.low is None:
            log.warning("The oplog will soon lose changes that were not published yet", seconds=int(seconds))
        elif not low and self.low is not None:
            log.info("The oplog is long enough again")
        self.low = f"only {int(seconds)} s left" if low else None
