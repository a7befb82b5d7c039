"""Drops what is too old from the log, outside of the path of a change, and reports how much the log holds."""

import asyncio
from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.common.cursor import Position
from services.common.tasks import raise_if_cancelled
from services.redis.schema import HeadField, StreamKeys
from services.watcher.log_metrics import LogExtent, LogMetrics, TrimReason
from services.watcher.log_size import LogSize
from services.watcher.script import Script

EVERY_SECONDS = 5.0
TIMEOUT_SECONDS = 2.0

TRIM = Script.load("trim")


class LogUpkeep:
    """The upkeep of one stream's log during one lease term; ``size`` is the publisher's count."""

    def __init__(
        self, redis: Redis, keys: StreamKeys, term: int, seconds: int, size: LogSize, metrics: LogMetrics
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._term = term
        self._seconds = seconds
        self._size = size
        self._metrics = metrics

    async def watch(self, published_until: Callable[[], int | None]) -> None:
        """Do it periodically until cancelled; ``published_until`` returns a cluster time (u64), see `Leader`.

        Age is counted from there, by MongoDB's clock, as positions are: this machine's may be wrong.
        """
        try:
            while True:
                try:
                    async with asyncio.timeout(TIMEOUT_SECONDS):
                        await self.once(published_until())
                except (RedisError, OSError, ValueError):
                    self._metrics.extent = None  # the publisher reports the outage
                raise_if_cancelled()
                await asyncio.sleep(EVERY_SECONDS)
        finally:
            self._metrics.extent = None

    async def once(self, published_until: int | None) -> None:
        """Do it once; raise RedisError."""
        await self._drop_old(published_until)
        await self._report()

    async def _drop_old(self, published_until: int | None) -> None:
        if published_until is None or (since := published_until - (self._seconds << 32)) <= 0:
            return
        arguments = (self._keys.head, self._keys.log, str(self._term), str(Position(since, 0)), "0", "0")
        reply = await self._redis.eval(TRIM.text, 2, *arguments)
        if reply[0] == b"OK" and reply[1]:
            self._size.drop(reply[1])
            self._metrics.trimmed(TrimReason.SECONDS)

    async def _report(self) -> None:
        events = await self._redis.xlen(self._keys.log)
        fields: list[Any] = await self._redis.hmget(self._keys.head, [HeadField.POSITION, HeadField.FLOOR])
        position, floor = (Position.parse(bytes(field or b"").decode()) for field in fields)
        seconds = max(0, (position.ts >> 32) - (floor.ts >> 32))
        self._metrics.extent = LogExtent(events, self._size.bytes, seconds)
