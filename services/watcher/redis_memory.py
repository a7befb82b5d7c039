"""Asks Redis now and then how much memory it uses, for the metrics."""

import asyncio

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.common.tasks import raise_if_cancelled
from services.watcher.log_metrics import LogMetrics, RedisMemory

EVERY_SECONDS = 10.0
TIMEOUT_SECONDS = 2.0


async def watch_memory(redis: Redis, metrics: LogMetrics) -> None:
    """Keep the figure true for ever; it is unknown while Redis does not answer, or where this user may not ask."""
    while True:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                told = await redis.info("memory")
            metrics.memory = RedisMemory(int(told["used_memory"]), int(told.get("maxmemory", 0)))
        except (RedisError, OSError, KeyError, ValueError):  # what uses Redis reports an outage
            metrics.memory = None
        raise_if_cancelled()
        await asyncio.sleep(EVERY_SECONDS)
