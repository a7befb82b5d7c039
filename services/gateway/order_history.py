"""Finds the past changes of one order: in memory, then in Redis, then in the oplog, as far as a request may cost."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import NamedTuple

from services.common.cursor import Position
from services.common.fair_turns import FairTurns, Pace
from services.common.time_budget import TimeBudget
from services.common.visible_fields import ALL_FIELDS, VisibleFields
from services.gateway.audience import Rights
from services.gateway.event import Event
from services.gateway.history import History, HistoryLost
from services.gateway.in_flight import InFlight
from services.gateway.oplog_past import OplogPast
from services.gateway.order_search import OrderSearch
from services.gateway.past_changes import PastChange, past_change
from services.gateway.redis_log import LogUnavailable, RedisLog
from services.gateway.replay import ReplayBounds
from services.gateway.ring import Ring
from services.mongodb.order_changes import OrderChanges

READERS = 2  # requests that search the oplog at once: each has a connection to MongoDB, which searches all of it
AT_ONCE = 1  # of one address, so that none has all of the readers, or all of MongoDB's processors
LOG_PAGES = 32  # of 64 entries each; the oplog, which MongoDB searches itself, is cheaper from there on
OPLOG_SECONDS = 1.5  # of searching for one request, with the waits for the budget and for a reader
# MongoDB searches for an account so long at once, and afterwards for a sixth of the time: a search fills one of its
# processors, and delays all other work there.
BUDGET_SECONDS, BUDGET_SHARE = 0.5, 1 / 6
_LONGEST_WAIT = 0.6  # for the budget; so long for a stretch of the usual length
_STRETCH_SECONDS = 0.75  # for one stretch; where that is not enough, a shorter one is tried
_AIM_SECONDS = 0.1  # the next stretch is as long as is searched in so much
_FIRST_STRETCH = 60  # seconds of the oplog
_SHORT_STRETCH = 15  # shorter ones only where the limit demands it: their commands may take longer than the search
_RING_STEP = 1000  # events
# Where it is not stale, a gateway has heard of every change older than this, whatever the clocks differ by.
_NEWEST_SECONDS = 60.0


class Past(NamedTuple):
    """Changes of an order, newest first, and the position after which these are all (up to where the search began).

    ``is_end``: nothing older can be found, now or later.
    """

    changes: list[PastChange]
    since: Position
    is_end: bool


class OrderHistory:
    """The past of single orders. The positions are the same wherever a change is found, so none comes twice."""

    def __init__(
        self,
        ring: Ring,
        log: RedisLog,
        oplog: OrderChanges,
        history: History,
        turns: FairTurns,
        bounds: ReplayBounds,
        is_stale: Callable[[], bool],
        visible: VisibleFields = ALL_FIELDS,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ring = ring
        self._log = log
        self._oplog = OplogPast(oplog, history, turns, lambda: ring.epoch, visible)
        self._turns = turns
        self._bounds = bounds
        self._is_stale = is_stale
        self._at_once = InFlight(AT_ONCE)
        self._clock = clock
        self._budget = TimeBudget(BUDGET_SECONDS, BUDGET_SHARE, _LONGEST_WAIT, clock)
        self._readers = asyncio.Semaphore(READERS)
        self._length = _FIRST_STRETCH  # of a stretch; kept between requests, so that each gets further

    @property
    def epoch(self) -> str | None:
        """The epoch that all cursors are of; None while the stream is not known."""
        return self._ring.epoch

    def pace(self, account: str) -> Pace:
        """Return the turns of the account for telling what was found."""
        return Pace(self._turns, account)

    def turn(self, account: str) -> AbstractAsyncContextManager[None]:
        """Hold one of the account's turns to search, for one request."""
        return self._at_once.slot(account)

    async def before(self, id: str, before: Position | None, most: int, rights: Rights, account: str) -> Past:
        """Return the last ``most`` changes of an order, or the last before a position, that these rights allow to know.

        It may return fewer, for its cost is bounded: then it can be asked for those before `Past.since`. Raise
        HistoryUnavailable.
        """
        newest = self._ring.position
        since = newest if before is None else min(newest, before.below)
        search = OrderSearch(id, before, most, since, rights)
        if before is None or before > newest:
            await self._search_newer(search, account)
        if not search.is_over():
            await self._search_ring(search, account)
        if not search.is_over():
            await self._search_log(search, account)
        if not search.is_over():
            await self._search_oplog(search, account)
        return Past(search.found, search.since, search.is_end)

    @asynccontextmanager
    async def _stretch(self, account: str) -> AsyncIterator[None]:
        """Hold a reader for one stretch, once the account may search; raise TimeoutError if the stretch is too long."""
        await self._budget.available(account)
        async with self._readers:
            with self._budget.spending(account):
                async with asyncio.timeout(_STRETCH_SECONDS):
                    yield

    async def _search_newer(self, search: OrderSearch, account: str) -> None:
        """Find what this gateway has yet to hear of, so that a client finds its own latest write."""
        # Also the rest of a transaction, of which the newest change here may be one.
        with suppress(TimeoutError, HistoryLost):
            async with asyncio.timeout(OPLOG_SECONDS), self._stretch(account):
                since = max(0, search.since.ts - 1)
                if not self._is_stale():  # then what is older has come already; there may have been none for days
                    since = max(since, int(time.time() - _NEWEST_SECONDS) << 32)
                found = await self._oplog.between(search.id, since, None, search.wanted, account)
                for change in found.changes:
                    if change.position > search.since:
                        search.add(change)

    async def _search_ring(self, search: OrderSearch, account: str) -> None:
        if not self._ring.holds(search.since):
            return
        events, floor = self._ring.upto(search.since), self._ring.floor
        pace = Pace(self._turns, account)
        await pace.begin()
        for end in range(len(events), 0, -_RING_STEP):
            await self._add(search, events[max(0, end - _RING_STEP) : end], pace)
            if search.is_over():
                return
            await pace.step()
        search.reached(floor)

    async def _search_log(self, search: OrderSearch, account: str) -> None:
        """Read the log backwards, as long as each page is known to be followed by what has been searched."""
        pace = Pace(self._turns, account)
        try:
            for _ in range(LOG_PAGES):
                page = await self._log.upto(search.since)
                await pace.begin()
                is_of_epoch = page.head is not None and page.head.epoch == self._ring.epoch
                if not is_of_epoch or page.prev is None or page.events[-1].position != search.since:
                    return
                await self._add(search, page.events, pace)
                search.reached(page.prev)
                if search.is_over():
                    return
        except LogUnavailable:
            return  # the oplog has it, too

    async def _add(self, search: OrderSearch, events: Sequence[Event], pace: Pace) -> None:
        for event in reversed(events):
            if event.id == search.id:
                search.add(past_change(event))
                if search.is_over():
                    return
                await pace.step()

    async def _search_oplog(self, search: OrderSearch, account: str) -> None:
        oldest = Position.before(max(1, self._ring.position.ts - (int(self._bounds.age) << 32)))
        if self._bounds.age <= 0:
            search.is_end = True
            return
        length, is_limit_known = self._length, False
        try:
            async with asyncio.timeout(OPLOG_SECONDS):
                while not search.is_over():
                    since = max(oldest, Position.end_of(max(0, search.since.ts - (length << 32))))
                    if since >= search.since:
                        search.is_end = True
                        return
                    try:
                        async with self._stretch(account):
                            began = self._clock()
                            await self._search_stretch(search, since, account)
                            took = self._clock() - began
                    except TimeoutError:
                        self._length = length = max(1, length // 4)
                    except HistoryLost:
                        is_limit_known = True
                        if length == 1:
                            search.is_end = True
                            return
                        length //= 2
                    else:
                        if not is_limit_known:
                            self._length = length = min(_next_length(length, took), max(1, int(self._bounds.age)))
        except TimeoutError:
            return  # the next request goes on from where this one has come

    async def _search_stretch(self, search: OrderSearch, since: Position, account: str) -> None:
        found = await self._oplog.between(search.id, since.ts, search.since.ts, search.wanted + 1, account)
        until = search.since
        for change in found.changes:
            if change.position <= until:
                search.add(change)
        search.reached(found.since)
        search.is_end = search.is_end or (found.is_end and not search.is_over())


def _next_length(length: int, took: float) -> int:
    """Return how long the next stretch is to be, after one of this length that took so many seconds to search."""
    if length < _SHORT_STRETCH:
        return 2 * length if took < _STRETCH_SECONDS / 3 else length
    return max(_SHORT_STRETCH, min(2 * length, int(length * _AIM_SECONDS / max(took, 0.001))))
