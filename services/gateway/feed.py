"""Keeps the gateway's log in step with the log in Redis: the channel is the fast way, the log is the truth."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing, suppress
from enum import StrEnum
from time import monotonic
from typing import NamedTuple

import structlog

from services.common.cursor import Cursor, Position
from services.common.dependency_health import DependencyHealth
from services.common.tasks import Tasks, raise_if_cancelled
from services.gateway.event import Event
from services.gateway.history import History, HistoryLost, HistoryUnavailable
from services.gateway.hub import Hub
from services.gateway.log import Log
from services.gateway.redis_log import Batch, Head, LogUnavailable, RedisLog
from services.gateway.subscription import ResyncReason

CHECK_SECONDS = 1.0

log = structlog.get_logger("feed")


class Limits(NamedTuple):
    """How many events to load at the start, and after how many seconds without a sign of life the stream is stale."""

    ring: int
    stale: float


class Stale(StrEnum):
    """Why what clients see may be old."""

    REDIS_UNREACHABLE = "redis_unreachable"
    WATCHER_SILENT = "watcher_silent"  # no watcher runs, or it cannot read the change stream


class Feed:
    """The way from Redis to the hub. It never shows an event twice or out of order: positions decide."""

    def __init__(
        self, source: RedisLog, history: History, events: Log, hub: Hub, health: DependencyHealth, limits: Limits
    ) -> None:
        self._source = source
        self._history = history
        self._log = events
        self._hub = hub
        self._health = health
        self._limits = limits
        self._doubt = asyncio.Event()  # whether the log is still in step
        self._fresh_at = monotonic()
        self.ready = asyncio.Event()

    def here(self) -> Cursor:
        """Return where the stream is. To be asked once it is ``ready``."""
        cursor = self._log.cursor
        if cursor is None:
            raise RuntimeError("nothing is known of the stream yet")
        return cursor

    async def check(self) -> str:
        """Answer "ok", or what is wrong, for `/readyz`."""
        if self._health.error is not None:
            return self._health.error
        if not self.ready.is_set():
            return "no stream yet: is the watcher running?"
        return self._hub.stale or "ok"

    def start(self, tasks: Tasks) -> None:
        """Follow the stream until ``tasks`` end."""
        tasks.keep("comparing positions with Redis", self._check_always())
        tasks.keep("listening to Redis", self._listen_always())

    async def _listen_always(self) -> None:
        while True:
            raise_if_cancelled()
            try:
                await self._source.follow(self._doubt.set, self._accept)
            except LogUnavailable as error:
                await asyncio.sleep(self._health.failed(error))

    def _accept(self, batch: Batch) -> None:
        if batch.epoch == self._log.epoch and batch.prev <= self._log.position:
            self._add(batch.events)
        else:
            self._doubt.set()

    async def _check_always(self) -> None:
        """Compare positions when in doubt, and once a second: a message that was lost may be the last one for hours."""
        while True:
            raise_if_cancelled()
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_SECONDS):
                    await self._doubt.wait()
            self._doubt.clear()
            try:
                await self._check()
            except LogUnavailable as error:
                await asyncio.sleep(self._health.failed(error))
                self._doubt.set()
            if monotonic() - self._fresh_at > self._limits.stale:
                self._hub.tell_stale(Stale.WATCHER_SILENT if self._health.is_up else Stale.REDIS_UNREACHABLE)
            else:
                self._hub.tell_stale(None)

    def _add(self, events: Sequence[Event]) -> None:
        added = self._log.append(events)
        if added:
            self._hub.publish(added)

    async def _check(self) -> None:
        """Bring the log to where the head in Redis is."""
        head = await self._source.head()
        self._health.succeeded()
        if head is None:
            return  # Redis has lost it; the watcher will rebuild it with the same positions
        if head.silence < self._limits.stale:
            self._fresh_at = monotonic()
        self._hub.log_floor = head.floor
        if head.epoch != self._log.epoch:
            if self._log.epoch is not None:  # else it may have begun long ago, and its reason is no news
                log.warning("A new epoch has begun, clients load anew", epoch=head.epoch, reason=head.reason)
            await self._begin(head)
            self._hub.begin_epoch(head.reason)
        elif self._log.position < head.position:
            await self._fill()

    async def _begin(self, head: Head) -> None:
        """Load the newest events, and forget what came before."""
        page = await self._source.newest(self._limits.ring, self._log.most_bytes)
        if page.head is None or page.head.epoch != head.epoch:
            raise LogUnavailable("the log changed while it was read")
        self._log.begin(head.epoch, page.prev or page.head.floor)
        self._log.append(page.events)
        log.info("Following the stream", epoch=head.epoch, events=len(page.events))
        self.ready.set()

    async def _fill(self) -> None:
        """Read what is missing from the log in Redis."""
        while True:
            page = await self._source.after(self._log.position)
            if page.head is None or page.head.epoch != self._log.epoch:
                return
            if page.lacks(self._log.position):
                if await self._bridge(page.prev or page.head.floor):
                    continue
                log.warning("Changes were missed that are kept nowhere any more, clients load anew")
                await self._begin(page.head)
                self._hub.resync_all(ResyncReason.HISTORY_LOST)
                return
            self._add(page.events)
            if not page.events or self._log.position >= page.head.position:
                return

    async def _bridge(self, target: Position) -> bool:
        """Read from the oplog what Redis no longer holds, up to ``target``; return False where that is impossible."""
        log.warning("Changes were missed that Redis no longer holds, reading the oplog")
        try:
            async with aclosing(self._history.after(self._log.position, self.here().epoch)) as readings:
                async for events, upto in readings:
                    self._add(events)
                    self._log.advance(min(upto, target))
                    if self._log.position >= target:
                        return True
        except HistoryLost:
            return False
        except HistoryUnavailable as error:
            raise LogUnavailable(str(error)) from error
        return False
