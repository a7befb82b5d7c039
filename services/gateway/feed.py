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
from services.gateway.redis_log import Batch, LogHead, LogPage, LogUnavailable, RedisLog
from services.gateway.ring import Ring
from services.gateway.subscription import ResyncReason

CHECK_SECONDS = 1.0
BRIDGE_SECONDS = 60.0  # for reading from the oplog what was missed; then clients load anew

log = structlog.get_logger("feed")


class FeedSettings(NamedTuple):
    """How many events to load at the start, and after how many seconds without a sign of life the stream is stale."""

    ring: int
    stale: float


class Stale(StrEnum):
    """Why what clients see may be old."""

    REDIS_UNREACHABLE = "redis_unreachable"
    WATCHER_SILENT = "watcher_silent"  # no watcher runs, or it cannot read the change stream
    GATEWAY_BEHIND = "gateway_behind"  # this gateway has missed more than Redis holds, and reads it from the oplog


class Feed:
    """The way from Redis to the hub. It never shows an event twice or out of order: positions decide."""

    def __init__(
        self,
        source: RedisLog,
        history: History,
        events: Ring,
        hub: Hub,
        health: DependencyHealth,
        settings: FeedSettings,
    ) -> None:
        self._source = source
        self._history = history
        self._ring = events
        self._hub = hub
        self._health = health
        self._settings = settings
        self._check_due = asyncio.Event()  # whether the log is still in step
        self._fresh_at = monotonic()
        self._is_bridging = False
        self._oplog = DependencyHealth("oplog", first_pause=0.2, longest_pause=5.0)
        self.ready = asyncio.Event()

    def current_cursor(self) -> Cursor:
        """Return where the stream is. To be asked once it is ``ready``."""
        cursor = self._ring.cursor
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
        tasks.keep("comparing positions with Redis", self._compare_positions())
        tasks.keep("listening to Redis", self._follow_channel())
        tasks.keep("judging how old the stream is", self._watch_staleness())

    async def _follow_channel(self) -> None:
        while True:
            raise_if_cancelled()
            try:
                await self._source.follow(self._check_due.set, self._accept)
            except LogUnavailable as error:
                await asyncio.sleep(self._health.failed(error))

    def _accept(self, batch: Batch) -> None:
        if batch.epoch == self._ring.epoch and batch.prev <= self._ring.position:
            self._add(batch.events)
        else:
            self._check_due.set()

    async def _compare_positions(self) -> None:
        """Compare positions when in doubt, and once a second: a message that was lost may be the last one for hours."""
        while True:
            raise_if_cancelled()
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_SECONDS):
                    await self._check_due.wait()
            self._check_due.clear()
            try:
                await self._check()
            except LogUnavailable as error:
                await asyncio.sleep(self._health.failed(error))
                self._check_due.set()
            self._hub.notify_stale(self._staleness())

    async def _watch_staleness(self) -> None:
        """Tell clients that what they see is old also while a look at Redis, or at the oplog, takes long."""
        while True:
            raise_if_cancelled()
            await asyncio.sleep(CHECK_SECONDS)
            self._hub.notify_stale(self._staleness())

    def _staleness(self) -> Stale | None:
        if monotonic() - self._fresh_at <= self._settings.stale:
            return None
        if self._is_bridging:
            return Stale.GATEWAY_BEHIND
        return Stale.WATCHER_SILENT if self._health.is_up else Stale.REDIS_UNREACHABLE

    def _add(self, events: Sequence[Event]) -> None:
        added = self._ring.append(events)
        if added:
            self._hub.publish(added)

    async def _check(self) -> None:
        """Bring the log to where the head in Redis is."""
        head = await self._source.head()
        self._health.succeeded()
        if head is None:
            return  # Redis has lost it; the watcher will rebuild it with the same positions
        self._hub.log_floor = head.floor
        if head.epoch != self._ring.epoch:
            if self._ring.epoch is not None:  # else it may have begun long ago, and its reason is no news
                log.warning("A new epoch has begun, clients load anew", epoch=head.epoch, reason=head.reason)
            await self._begin(head)
            self._hub.begin_epoch(head.reason)
        elif self._ring.position < head.position:
            await self._fill()
        if head.silence < self._settings.stale:
            self._fresh_at = monotonic()  # only now: until it is in step again, what clients see is old

    async def _begin(self, head: LogHead) -> None:
        """Load the newest events, and forget what came before."""
        page = await self._source.newest(self._settings.ring, self._ring.most_bytes)
        if page.head is None or page.head.epoch != head.epoch:
            raise LogUnavailable("the log changed while it was read")
        self._ring.reset(head.epoch, page.prev or page.head.floor)
        self._ring.append(page.events)
        log.info("Following the stream", epoch=head.epoch, events=len(page.events))
        self.ready.set()

    async def _fill(self) -> None:
        """Read what is missing from the log in Redis."""
        was_bridged = False
        while True:
            page = await self._source.after(self._ring.position)
            if page.head is None or page.head.epoch != self._ring.epoch:
                return
            if page.lacks(self._ring.position):
                # Twice, and Redis forgets faster than this gateway reads.
                reason = ResyncReason.REPLAY_TOO_LONG if was_bridged else await self._bridge(page)
                was_bridged = True
                if reason is None:
                    continue
                log.warning("Changes were missed that cannot be read any more, clients load anew", reason=reason)
                await self._begin(page.head)
                self._hub.resync_all(reason)
                return
            self._add(page.events)
            if not page.events or self._ring.position >= page.head.position:
                return

    async def _bridge(self, page: LogPage) -> ResyncReason | None:
        """Read from the oplog what Redis no longer holds, up to where ``page`` begins; or return why that failed.

        It ends in any case, or this gateway would never follow the stream again.
        """
        log.warning("Changes were missed that Redis no longer holds, reading the oplog")
        target = page.prev or (page.head.floor if page.head else self._ring.position)
        self._is_bridging = True
        failure = ResyncReason.REPLAY_TOO_LONG
        try:
            async with asyncio.timeout(BRIDGE_SECONDS):
                while self._ring.position < target:
                    raise_if_cancelled()
                    failure = ResyncReason.REPLAY_TOO_LONG
                    try:
                        await self._read_oplog(target)
                    except HistoryUnavailable as error:
                        failure = ResyncReason.HISTORY_UNAVAILABLE
                        await asyncio.sleep(self._oplog.failed(str(error)[:300]))
        except HistoryLost:
            return ResyncReason.HISTORY_LOST
        except TimeoutError:
            return failure
        finally:
            self._is_bridging = False
        self._oplog.succeeded()
        return None

    async def _read_oplog(self, target: Position) -> None:
        async with aclosing(self._history.after(self._ring.position, self.current_cursor().epoch)) as readings:
            async for events, upto in readings:
                self._add(events)
                self._ring.advance(min(upto, target))
                if self._ring.position >= target:
                    return
