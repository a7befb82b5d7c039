"""Keeps the gateway's log in step with the log in Redis: the channel is the fast way, the log is the truth."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

import structlog

from services.common.cursor import Cursor, Position
from services.common.outage import Outage
from services.gateway.event import Event
from services.gateway.hub import Hub, ResyncReason, Subscription
from services.gateway.log import Log
from services.gateway.redis_log import Batch, Head, LogUnavailable, RedisLog, Subscribed

CHECK_SECONDS = 1.0
PAGE = 1000
READS_AT_ONCE = 4  # of clients that are behind: enough to keep Redis busy, too few to keep it from the feed

log = structlog.get_logger("feed")


class Feed:
    """The way from Redis to the hub. It never shows an event twice or out of order: positions decide."""

    def __init__(self, source: RedisLog, events: Log, size: int, outage: Outage) -> None:
        self._source = source
        self._log = events
        self._size = size
        self._outage = outage
        self._fill_lock = asyncio.Lock()
        self._behind: dict[Subscription, asyncio.Task[None]] = {}
        self._reads = asyncio.Semaphore(READS_AT_ONCE)
        self.hub = Hub(events, self._fetch)
        self.ready = asyncio.Event()

    def here(self) -> Cursor:
        """Return where the stream is. To be asked once it is ``ready``."""
        cursor = self._log.cursor
        if cursor is None:
            raise RuntimeError("nothing is known of the stream yet")
        return cursor

    async def run(self) -> None:
        """Follow the stream until cancelled."""
        checker = asyncio.create_task(self._check_always())
        listener = asyncio.create_task(self._listen_always())
        tasks = {checker, listener}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            tasks |= set(self._behind.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen_always(self) -> None:
        while True:
            try:
                async with aclosing(self._source.batches()) as batches:
                    async for item in batches:
                        if isinstance(item, Subscribed):
                            await self._check()
                        else:
                            await self._accept(item)
            except LogUnavailable as error:
                await asyncio.sleep(self._outage.failed(error))

    async def _check_always(self) -> None:
        """Compare positions once a second: the message that was lost may have been the last one for hours."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                await self._check()
            except LogUnavailable as error:
                await asyncio.sleep(self._outage.failed(error))

    async def _accept(self, batch: Batch) -> None:
        prev = Position.parse(batch.prev)
        if batch.epoch != self._log.epoch or prev > self._log.position:
            await self._check()
            return
        self._add(
            [Event(bytes(event), bytes(before)) for event, before in zip(batch.events, batch.before, strict=True)]
        )

    def _add(self, events: Sequence[Event]) -> None:
        added = self._log.append(events)
        if added:
            self.hub.publish(added)

    async def _check(self) -> None:
        """Bring the log to where the head in Redis is."""
        async with self._fill_lock:
            head = await self._source.head()
            self._outage.worked()
            if head is None:
                return  # Redis has lost it; the watcher will rebuild it with the same positions
            self.hub.reach = head.floor
            if head.epoch != self._log.epoch:
                await self._begin(head)
                self.hub.begin_epoch(head.reason)
            elif self._log.position < head.position:
                await self._fill()

    async def _begin(self, head: Head) -> None:
        """Load the newest events, and forget what came before."""
        page = await self._source.newest(self._size)
        if page.head is None or page.head.epoch != head.epoch:
            raise LogUnavailable("the log changed while it was read")
        # Where there are fewer than asked for, that is all; else nobody knows what came before the first of them.
        whole = len(page.events) < self._size
        self._log.begin(head.epoch, page.head.floor if whole else page.events[0].position)
        self._log.append(page.events)
        log.info("Following the stream", epoch=head.epoch, reason=head.reason, events=len(page.events))
        self.ready.set()

    async def _fill(self) -> None:
        """Read what is missing from the log in Redis."""
        while True:
            page = await self._source.after(self._log.position, PAGE)
            if page.head is None or page.head.epoch != self._log.epoch:
                return
            if self._log.position < page.head.floor:
                log.warning("Changes were missed that Redis no longer holds, clients load anew")
                await self._begin(page.head)
                self.hub.lose(ResyncReason.HISTORY_LOST)
                return
            self._add(page.events)
            if len(page.events) < PAGE:
                return

    def _fetch(self, subscription: Subscription) -> None:
        if subscription not in self._behind:
            task = asyncio.create_task(self._catch_up(subscription))
            self._behind[subscription] = task
            task.add_done_callback(lambda _: self._behind.pop(subscription, None))

    async def _catch_up(self, subscription: Subscription) -> None:
        """Serve one client from the log in Redis until the gateway's own log holds its position."""
        while subscription.is_behind():
            if self._log.holds(subscription.position):
                self.hub.caught_up(subscription)
                return
            try:
                async with self._reads:
                    page = await self._source.after(subscription.position, PAGE)
            except LogUnavailable as error:
                await asyncio.sleep(self._outage.failed(error))
                continue
            if not subscription.is_behind():
                return
            if page.head is None or page.head.epoch != self._log.epoch or not page.events:
                await asyncio.sleep(CHECK_SECONDS)  # Redis is behind us: it is being rebuilt
            elif subscription.position < page.head.floor:
                self.hub.lose_one(subscription, ResyncReason.HISTORY_LOST)
            else:
                self.hub.write_page(subscription, page.events)
