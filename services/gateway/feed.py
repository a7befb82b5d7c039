"""Keeps the ring in step with the log in Redis: the channel is the fast path, the log is the truth."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from time import monotonic
from typing import NamedTuple

import structlog

from services.common.cursor import Cursor
from services.common.dependency_health import DependencyHealth
from services.common.tasks import Tasks, raise_if_cancelled
from services.gateway.event import Event
from services.gateway.history import History
from services.gateway.hub import Hub
from services.gateway.oplog_bridge import BRIDGE_SECONDS, OplogBridge
from services.gateway.redis_log import Batch, LogHead, LogUnavailable, RedisLog
from services.gateway.ring import Ring
from services.gateway.subscription import Reason, ResyncReason

CHECK_SECONDS = 1.0
# The most events of one fan-out. It may need only so many encodings (`groups.MOST_ENCODINGS`): with more events, more
# groups are postponed, and each of their clients then costs as much as a group.
EVENTS_PER_TURN = 100

log = structlog.get_logger("feed")


class FeedSettings(NamedTuple):
    """How many events to load at the start, and after how many seconds without a heartbeat the stream is stale."""

    ring: int
    stale: float


class Stale(StrEnum):
    """Why clients may see old data."""

    REDIS_UNREACHABLE = "redis_unreachable"
    WATCHER_SILENT = "watcher_silent"  # no watcher runs, or it cannot read the change stream
    GATEWAY_BEHIND = "gateway_behind"  # this gateway missed more than Redis holds and is reading the oplog


class Feed:
    """The path from Redis to the hub. Positions keep it from publishing an event twice or out of order."""

    def __init__(
        self,
        redis_log: RedisLog,
        history: History,
        ring: Ring,
        hub: Hub,
        health: DependencyHealth,
        settings: FeedSettings,
    ) -> None:
        self._redis_log = redis_log
        self._ring = ring
        self._hub = hub
        self._health = health
        self._settings = settings
        self._check_due = asyncio.Event()  # the ring may be out of step
        self._fresh_at = monotonic()
        self._bridge = OplogBridge(history, redis_log, ring, self._add_by_turns)
        self.ready = asyncio.Event()

    def current_cursor(self) -> Cursor:
        """Return where the stream is. Call it only once the feed is ``ready``."""
        cursor = self._ring.cursor
        if cursor is None:
            raise RuntimeError("the stream is not ready yet")
        return cursor

    def check(self) -> str:
        """Return "ok", or what is wrong, for `/readyz/stream`."""
        if self._health.error is not None:
            return self._health.error
        if not self.ready.is_set():
            return "no stream yet: is the watcher running?"
        return self._hub.stale or "ok"

    def start(self, tasks: Tasks) -> None:
        """Follow the stream until ``tasks`` end."""
        tasks.keep("comparing positions with Redis", self._compare_positions())
        tasks.keep("listening to Redis", self._follow_channel())
        tasks.keep("watching for staleness", self._watch_staleness())

    async def _follow_channel(self) -> None:
        while True:
            raise_if_cancelled()
            try:
                await self._redis_log.follow(self._check_due.set, self._accept)
            except LogUnavailable as error:
                await asyncio.sleep(self._health.failed(error))

    def _accept(self, batch: Batch) -> None:
        follows = batch.epoch == self._ring.epoch and batch.prev <= self._ring.position
        if follows and len(batch.events) <= EVENTS_PER_TURN:
            self._add(batch.events)
        else:
            self._check_due.set()  # of more events, the log is read by turns

    async def _compare_positions(self) -> None:
        """Compare positions on request and once a second: a lost message may be the last one for hours."""
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
            self._notify_staleness()

    async def _watch_staleness(self) -> None:
        """Notify clients of staleness even while a read from Redis or the oplog takes long."""
        while True:
            raise_if_cancelled()
            await asyncio.sleep(CHECK_SECONDS)
            self._notify_staleness()

    def _notify_staleness(self) -> None:
        stale, before = self._staleness(), self._hub.stale
        if stale != before:
            if stale is not None:
                log.warning("Clients are told that their data may be old", reason=stale.value, clients=len(self._hub))
            else:
                log.info("Clients are told that their data is current again", reason=before, clients=len(self._hub))
        self._hub.notify_stale(stale)

    def _staleness(self) -> Stale | None:
        if monotonic() - self._fresh_at <= self._settings.stale:
            return None
        if self._bridge.is_open:
            return Stale.GATEWAY_BEHIND
        return Stale.WATCHER_SILENT if self._health.is_up else Stale.REDIS_UNREACHABLE

    async def _add_by_turns(self, events: Sequence[Event]) -> None:
        for at in range(0, len(events), EVENTS_PER_TURN):
            if at:
                await asyncio.sleep(0)
            self._add(events[at : at + EVENTS_PER_TURN])

    def _add(self, events: Sequence[Event]) -> None:
        added = self._ring.append(events)
        if added:
            self._hub.publish(added)

    async def _check(self) -> None:
        """Bring the ring to the position of the head in Redis."""
        head = await self._redis_log.head()
        self._health.succeeded()
        if head is None:
            return  # Redis has lost it; the watcher will rebuild it with the same positions
        self._hub.resume_points.log_floor = head.floor
        if head.epoch != self._ring.epoch:
            # The epoch may be old at the first check: do not log it as new.
            is_first = self._ring.epoch is None
            await self._load(head)
            clients, reason = len(self._hub), head.reason or ResyncReason.EPOCH_UNKNOWN
            incident = self._hub.begin_epoch(reason)
            if not is_first:
                self._log_resync("A new epoch has begun, all clients must resync", reason, clients, incident)
        elif self._ring.position < head.position:
            await self._fill()
        # Only now: until the ring is in step, clients see old data. It is as old as the watcher's last report.
        self._fresh_at = monotonic() - max(0.0, head.silence)

    async def _load(self, head: LogHead) -> None:
        """Load the newest events and discard all earlier ones."""
        page = await self._redis_log.newest(self._settings.ring, self._ring.most_bytes)
        if page.head is None or page.head.epoch != head.epoch:
            raise LogUnavailable("the log changed while it was read")
        self._ring.reset(head.epoch, page.prev or page.head.floor)
        self._ring.append(page.events)
        log.info("Following the stream", epoch=head.epoch, events=len(page.events))
        self.ready.set()

    async def _fill(self) -> None:
        """Read the missing events from the log in Redis, and those that it no longer holds from the oplog."""
        until: float | None = None
        while True:
            page = await self._redis_log.after(self._ring.position)
            if page.head is None or page.head.epoch != self._ring.epoch:
                return
            if page.lacks(self._ring.position):
                until = until or asyncio.get_running_loop().time() + BRIDGE_SECONDS
                reason = await self._bridge.cross(page, until)
                if reason is None:
                    continue
                await self._load(page.head)
                clients = len(self._hub)
                incident = self._hub.resync_all(reason)
                self._log_resync(
                    "Missed changes can no longer be read, all clients must resync", reason, clients, incident
                )
                return
            await self._add_by_turns(page.events)
            if not page.events or self._ring.position >= page.head.position:
                return

    def _log_resync(self, what: str, reason: Reason, clients: int, incident: str) -> None:
        log.warning(what, reason=str(reason), incident=incident, clients=clients, epoch=self._ring.epoch)
