"""Serves clients that the gateway's own log can no longer serve: from Redis, and beyond that from the oplog."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from enum import StrEnum

import structlog

from services.common.cursor import Cursor, Position
from services.common.dependency_health import DependencyHealth
from services.common.tasks import Spawn, raise_if_cancelled
from services.gateway.event import Event
from services.gateway.history import History, HistoryLost, HistoryUnavailable
from services.gateway.hub import Hub
from services.gateway.log import Log
from services.gateway.redis_log import LogUnavailable, RedisLog
from services.gateway.subscription import Located, ResyncReason, Subscription

READS_AT_ONCE = 4  # enough to keep Redis busy, too few to keep it from the feed
PAUSE_SECONDS = 1.0

log = structlog.get_logger("catch-up")


class Source(StrEnum):
    """Where a client that came back was served from."""

    RING = "ring"  # the gateway's own log
    LOG = "log"  # the log in Redis
    OPLOG = "oplog"
    RESYNC = "resync"  # nowhere: it was told to load anew


class CatchUp:
    """Everything between a client that comes back with a cursor and the live stream."""

    def __init__(
        self,
        source: RedisLog,
        history: History,
        events: Log,
        health: DependencyHealth,
        resumed: Callable[[Source], None],
        spawn: Spawn,
    ) -> None:
        self._source = source
        self._history = history
        self._log = events
        self._health = health
        self._resumed = resumed
        self._spawn = spawn
        self._served: set[Subscription] = set()  # from the log in Redis, now
        self._reads = asyncio.Semaphore(READS_AT_ONCE)
        self._oplog_waiters: set[Subscription] = set()
        self._is_reading = False  # the oplog
        self._replay_until = Position(0, 0)
        self.hub = Hub(events, self._fetch)

    def locate_now(self, since: Cursor) -> Located | None:
        """Say whether a client with this cursor can be told everything that came after it, and count where from.

        None where only the oplog can tell: then ``locate`` asks it.
        """
        located = self.hub.locate(since)
        if located.reason is ResyncReason.HISTORY_LOST:
            return None
        if located.reason is not None:
            self._resumed(Source.RESYNC)
        else:
            self._resumed(Source.RING if self._log.holds(located.position) else Source.LOG)
        return located

    async def locate(self, since: Cursor) -> Located:
        """Say the same, whatever has to be asked."""
        located = self.locate_now(since)
        if located is None:
            found = await self._in_oplog(since.position)
            self._resumed(Source.OPLOG if found else Source.RESYNC)
            located = Located(since.position, None) if found else self.hub.locate(since)
        return located

    async def _in_oplog(self, position: Position) -> bool:
        try:
            return await self._history.reaches(position)
        except HistoryUnavailable:
            return False

    def _fetch(self, subscription: Subscription) -> None:
        if subscription.position < self.hub.log_floor:
            self._queue_oplog_replay(subscription, self.hub.log_floor)
        elif subscription not in self._served:
            self._served.add(subscription)
            self._spawn("serving from Redis", self._serve_from_log(subscription))

    def _queue_oplog_replay(self, subscription: Subscription, reach: Position) -> None:
        """Have a client served from the oplog until it stands at ``reach``, from where on Redis has everything."""
        self._replay_until = max(self._replay_until, reach)
        self._oplog_waiters.add(subscription)
        if not self._is_reading:
            self._is_reading = True
            self._spawn("serving from the oplog", self._read_history())

    async def _serve_from_log(self, subscription: Subscription) -> None:
        try:
            with self.hub.isolating(subscription):
                await self._read_log(subscription)
        finally:
            # At once, not by a callback: a client that falls behind again before that would be fetched for by nobody.
            self._served.remove(subscription)

    async def _read_log(self, subscription: Subscription) -> None:
        """Serve one client from the log in Redis until the gateway's own log holds its position."""
        while subscription.is_behind():
            raise_if_cancelled()
            if self._log.holds(subscription.position):
                self.hub.caught_up(subscription)
                continue
            asked = subscription.position
            try:
                async with self._reads:
                    page = await self._source.after(asked)
            except LogUnavailable as error:
                await asyncio.sleep(self._health.failed(error))
                continue
            if not subscription.is_behind():
                return
            if subscription.position != asked:
                continue  # it was lost meanwhile, and fell behind again: this page is not what it misses
            if page.head is None or page.head.epoch != self._log.epoch:
                await asyncio.sleep(PAUSE_SECONDS)  # Redis is being rebuilt, or the feed is about to begin anew
            elif page.lacks(subscription.position):
                self._queue_oplog_replay(subscription, page.prev or page.head.floor)
                return
            elif page.events:
                self.hub.write_page(subscription, page.events)
            else:
                await asyncio.sleep(PAUSE_SECONDS)

    async def _read_history(self) -> None:
        """Serve all clients that Redis can do nothing for by one reading of the change stream at a time.

        Who comes while it goes on waits for the next one: however many come, MongoDB has one more reader.
        """
        try:
            while self._oplog_waiters:
                waiting, self._oplog_waiters = self._oplog_waiters, set()
                try:
                    await self._read_history_for(waiting)
                except HistoryLost:
                    for subscription in waiting:
                        if subscription.is_behind():
                            self.hub.resync_one(subscription, ResyncReason.HISTORY_LOST)
                except HistoryUnavailable as error:
                    log.warning("The oplog cannot be read, trying again", error=str(error))
                    self._oplog_waiters |= waiting
                    await asyncio.sleep(PAUSE_SECONDS)
        finally:
            self._is_reading = False

    async def _read_history_for(self, waiting: set[Subscription]) -> None:
        epoch = self._log.epoch
        start = min((each.position for each in waiting if each.is_behind()), default=None)
        if start is None or epoch is None:
            return
        async with aclosing(self._history.after(start, epoch)) as readings:
            async for events, upto in readings:
                waiting = {each for each in waiting if each.is_behind()}
                self._hand_out(waiting, events, upto)
                done = {each for each in waiting if each.position >= self._replay_until}
                for subscription in done:
                    self.hub.caught_up(subscription)
                waiting -= done
                if not waiting or self._log.epoch != epoch:
                    return

    def _hand_out(self, waiting: set[Subscription], events: list[Event], upto: Position) -> None:
        for subscription in waiting:
            later = [event for event in events if event.position > subscription.position]
            if later:
                self.hub.write_page(subscription, later)
            if subscription.is_behind():
                subscription.position = max(subscription.position, upto)
