"""Redis forgets, stands still, is full, or is gone."""

from redis.asyncio import Redis

from tests.faults.audit import Audit
from tests.faults.scenario import scenario


@scenario("R5")
async def flush_redis(audit: Audit) -> None:
    """FLUSHALL: the watcher rebuilds the log with the same IDs, and nobody is told to load anew."""
    async with Redis.from_url(audit.stack.redis_url) as redis:
        for _ in range(3):
            await redis.flushall()
            audit.injected()
            await audit.recovers("FLUSHALL", within=2.0)
            await audit.load(2)


SCENARIOS = [flush_redis]
