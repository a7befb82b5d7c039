"""Serves clients whose positions the ring no longer holds: from the log in Redis, and beyond that from the oplog."""

import asyncio
from collections.abc import Callable
from enum import StrEnum

from services.common.cursor import Cursor, Position
from services.common.dependency_health import DependencyHealth
from services.common.fair_turns import FairTurns
from services.common.tasks import Spawn, Tasks, raise_if_cancelled
from services.gateway.history import History, HistoryUnavailable
from services.gateway.hub import Hub
from services.gateway.in_flight import InFlight
from services.gateway.redis_log import LogPage, LogUnavailable, RedisLog
from services.gateway.replay import ReplayBounds, ReplayOutcome
from services.gateway.replays import Replays
from services.gateway.resyncs import Resyncs
from services.gateway.ring import Ring
from services.gateway.subscription import ResumePoint, ResyncReason, Subscription

READS_AT_ONCE = 4  # enough to keep Redis busy, too few to starve the feed
OF_ONE_ACCOUNT = 2  # of these, so that the clients of others need not wait behind all of its own
PAUSE_SECONDS = 1.0


class ServedFrom(StrEnum):
    """Where a client that came back was served from."""

    RING = "ring"  # the gateway's memory
    LOG = "log"  # the log in Redis
    OPLOG = "oplog"
    RESYNC = "resync"  # none: it must reload


class CatchUp:
    """Finds where a client that comes back can resume, and serves it until the ring can.

    The hub is made here, because it hands such clients over to this.
    """

    def __init__(
        self,
        redis_log: RedisLog,
        history: History,
        ring: Ring,
        health: DependencyHealth,
        resumed: Callable[[ServedFrom], None],
        spawn: Spawn,
        *,
        turns: FairTurns,
        bounds: ReplayBounds | None = None,
        replayed: Callable[[ReplayOutcome], None] = lambda _outcome: None,
        resyncs: Resyncs | None = None,
    ) -> None:
        self._redis_log = redis_log
        self._history = history
        self._ring = ring
        self._health = health
        self._resumed = resumed
        self._spawn = spawn
        self._served: set[Subscription] = set()  # being served from the log in Redis
        self._turns = turns
        self._of_account = InFlight(OF_ONE_ACCOUNT)
        self._reads = asyncio.Semaphore(READS_AT_ONCE)
        self.hub = Hub(ring, self._serve, turns, resyncs)
        self._replays = Replays(history, ring, self.hub, turns, bounds or ReplayBounds(), replayed)

    def locate_now(self, since: Cursor) -> ResumePoint | None:
        """Return where a client with this cursor can resume, and count what serves it.

        None where only the oplog can tell: then use ``locate``.
        """
        located = self.hub.resume_points.locate(since)
        if located.reason is ResyncReason.HISTORY_LOST:
            return None
        if located.reason is not None:
            self._resumed(ServedFrom.RESYNC)
        else:
            self._resumed(ServedFrom.RING if self._ring.holds(located.position) else ServedFrom.LOG)
        return located

    async def locate(self, since: Cursor, account: str = "") -> ResumePoint:
        """Return the same, asking the oplog where needed; the cost is counted against the client's ``account``."""
        located = self.locate_now(since)
        if located is not None:
            return located
        reason = self._replays.refusal(since.position, account)
        if reason is None and not await self._in_oplog(since.position):
            reason = ResyncReason.HISTORY_LOST
        located = self.hub.resume_points.locate(since)  # again: another epoch may have begun meanwhile
        if located.reason is ResyncReason.HISTORY_LOST:
            located = ResumePoint(since.position, None) if reason is None else ResumePoint(located.position, reason)
        self._resumed(ServedFrom.OPLOG if located.reason is None else ServedFrom.RESYNC)
        return located

    async def _in_oplog(self, position: Position) -> bool:
        try:
            return await self._history.reaches(position)
        except HistoryUnavailable:
            return True  # perhaps: the replay tries for longer, and reports the true reason if it fails

    def start(self, tasks: Tasks) -> None:
        """Serve from the oplog until ``tasks`` end."""
        self._replays.start(tasks)

    def _serve(self, subscription: Subscription) -> None:
        """Serve a client of the hub until the ring holds its position: from the oplog, or from the log in Redis."""
        if subscription.position < self.hub.resume_points.log_floor:
            self._replays.add(subscription, self.hub.resume_points.log_floor)
        elif subscription not in self._served:
            self._served.add(subscription)
            self._spawn("serving from Redis", self._serve_from_log(subscription))

    async def _serve_from_log(self, subscription: Subscription) -> None:
        try:
            with self.hub.isolating(subscription):
                await self._read_log(subscription)
        finally:
            # Now, not in a callback: a client that fell behind again before the callback ran would never be served.
            self._served.remove(subscription)

    async def _read_log(self, subscription: Subscription) -> None:
        """Serve one client from the log in Redis until the ring holds its position."""
        while subscription.is_behind():
            raise_if_cancelled()
            if self._ring.holds(subscription.position):
                self.hub.serve_from_ring(subscription)
                continue
            asked = subscription.position
            try:
                page = await self._page_for(subscription)
            except LogUnavailable as error:
                await asyncio.sleep(self._health.failed(error))
                continue
            if page is None or not subscription.is_behind():
                return
            if subscription.position != asked:
                continue  # it was resynced meanwhile and fell behind again: this page is not the one it needs
            if page.head is None or page.head.epoch != self._ring.epoch:
                await asyncio.sleep(PAUSE_SECONDS)  # Redis is being rebuilt, or the feed is about to begin a new epoch
            elif page.lacks(subscription.position):
                self._replays.add(subscription, page.prev or page.head.floor)
                return
            elif page.events:
                self.hub.write_events(subscription, page.events)
            else:
                await asyncio.sleep(PAUSE_SECONDS)

    async def _page_for(self, subscription: Subscription) -> LogPage | None:
        """Read a page when it is the account's turn: to decode it, and to send it on, takes a millisecond.

        None where the client has left meanwhile.
        """
        async with self._of_account.slot(subscription.account):
            await self._turns.take(subscription.account)
            async with self._reads:
                return await self._redis_log.after(subscription.position) if subscription.is_behind() else None
