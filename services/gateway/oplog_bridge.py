"""Reads changes that Redis no longer holds from the oplog into the ring, for a gateway that has missed them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing

import structlog

from services.common.dependency_health import DependencyHealth
from services.common.error_text import error_text
from services.common.fair_turns import INTERNAL
from services.common.tasks import raise_if_cancelled
from services.gateway.event import Event
from services.gateway.history import History, HistoryLost, HistoryUnavailable
from services.gateway.redis_log import LogPage, RedisLog
from services.gateway.ring import Ring
from services.gateway.subscription import ResyncReason

BRIDGE_SECONDS = 60.0  # for reading missed changes from the oplog; after that, all clients must resync

log = structlog.get_logger("feed")


class OplogBridge:
    """The way from the ring's position to where the log in Redis begins; ``add`` takes the events on it."""

    def __init__(
        self, history: History, redis_log: RedisLog, ring: Ring, add: Callable[[Sequence[Event]], Awaitable[None]]
    ) -> None:
        self._history = history
        self._redis_log = redis_log
        self._ring = ring
        self._add = add
        self._health = DependencyHealth("oplog", first_pause=0.2, longest_pause=5.0)
        self.is_open = False

    async def cross(self, page: LogPage, until: float) -> ResyncReason | None:
        """Read the oplog until the log in Redis holds what follows; or return why that failed.

        It ends at ``until``, by the loop's time: otherwise this gateway would never follow the stream again. Raise
        LogUnavailable.
        """
        log.warning("Redis no longer holds the missed changes, reading them from the oplog")
        self.is_open = True
        failure = ResyncReason.REPLAY_TOO_LONG
        try:
            async with asyncio.timeout_at(until):
                while True:
                    raise_if_cancelled()
                    failure = ResyncReason.REPLAY_TOO_LONG
                    try:
                        await self._read(page)
                        break
                    except HistoryUnavailable as error:
                        failure = ResyncReason.HISTORY_UNAVAILABLE
                        await asyncio.sleep(self._health.failed(error_text(error)[:300]))
        except HistoryLost:
            return ResyncReason.HISTORY_LOST
        except TimeoutError:
            return failure
        finally:
            self.is_open = False
        self._health.succeeded()
        return None

    async def _read(self, page: LogPage) -> None:
        """Read what the log lacks, and what Redis trims meanwhile: to open another change stream would take longer."""
        epoch = self._ring.epoch or ""
        async with aclosing(self._history.after(self._ring.position, epoch, INTERNAL)) as readings:
            target = page.begins_after
            async for events, upto in readings:
                await self._add(events)
                self._ring.advance(min(upto, target))
                if self._ring.position < target:
                    continue
                page = await self._redis_log.after(self._ring.position)
                if page.head is None or page.head.epoch != self._ring.epoch or not page.lacks(self._ring.position):
                    return
                target = page.begins_after
