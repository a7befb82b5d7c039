"""Serves clients from the oplog: few passes at a time, the shortest first, shared by clients with nearby positions.

No account has all readers while another waits, and a pass in which one account has many clients is not shared.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from time import monotonic

from services.common.cursor import Position
from services.common.dependency_health import DependencyHealth
from services.common.error_text import error_text
from services.common.fair_turns import FairTurns, Pace
from services.common.tasks import Tasks, raise_if_cancelled
from services.gateway.history import History, HistoryLost, HistoryPage, HistoryUnavailable
from services.gateway.hub import Hub
from services.gateway.replay import Pass, Replay, ReplayBounds, ReplayOutcome, age
from services.gateway.ring import Ring
from services.gateway.subscription import ResyncReason, Subscription

READERS = 2  # each has one connection to MongoDB
GATHER_SECONDS = 0.05  # before a pass begins: clients that arrive together share it, those that leave cost nothing
LINGER_SECONDS = 1.0  # with a pass whose clients are all paused: otherwise each page would reopen it
SUPERVISE_SECONDS = 0.25


class Replays:
    """All clients that only the oplog can serve. ``ended`` is called with the outcome of each replay."""

    def __init__(
        self,
        history: History,
        ring: Ring,
        hub: Hub,
        turns: FairTurns,
        bounds: ReplayBounds,
        ended: Callable[[ReplayOutcome], None],
    ) -> None:
        self._history = history
        self._ring = ring
        self._hub = hub
        self._turns = turns
        self._bounds = bounds
        self._ended = ended
        self._passes: list[Pass] = []
        self._replays: dict[Subscription, Replay] = {}
        self._until = Position(0, 0)
        self._planned = asyncio.Event()
        self._health = DependencyHealth("oplog", first_pause=0.2, longest_pause=5.0)
        self._is_failing = False

    def refusal(self, position: Position, account: str) -> ResyncReason | None:
        """Return why a client cannot be served from ``position`` on, or None where it can."""
        found = self._pass_for(position, account)
        return found if isinstance(found, ResyncReason) else None

    def add(self, subscription: Subscription, until: Position) -> None:
        """Serve a client up to ``until``, from where on Redis has everything; or tell it to reload."""
        self._until = max(self._until, until)
        replay = self._replays.get(subscription)
        if replay is None:
            replay = self._replays[subscription] = Replay(subscription, self._bounds.events, 0.0)
        replay.progressed_at = monotonic()
        found = self._pass_for(subscription.position, subscription.account)
        if isinstance(found, ResyncReason):
            self._resync(replay, found)
            return
        if found is None:
            found = Pass(subscription.account, subscription.position)
            self._passes.append(found)
        found.join(replay)
        self._planned.set()

    def start(self, tasks: Tasks) -> None:
        """Serve until ``tasks`` end."""
        tasks.keep("supervising replays", self._supervise())
        for number in range(READERS):
            tasks.keep(f"reading the oplog ({number + 1})", self._run_passes())

    def _pass_for(self, position: Position, account: str) -> Pass | ResyncReason | None:
        """Return the pass that serves a client soonest, or None where it may have one of its own."""
        newest = self._ring.position
        if age(position, newest) > self._bounds.age:
            return ResyncReason.REPLAY_TOO_LONG
        self._passes = [each for each in self._passes if each.reading is not None or each.waiting()]
        suitable = [each for each in self._passes if each.can_serve(position, newest)]
        candidates = [each for each in suitable if not each.is_crowded(account)]
        if candidates:
            return max(candidates, key=_at)
        # Passes that have just gone past the client do not count: all clients as far back share the next pass.
        active = [each.account for each in self._passes if each.is_active and not each.has_passed(position, newest)]
        if active.count(account) < self._bounds.passes_per_account and len(active) < self._bounds.passes:
            return None
        passing_by = [each for each in self._passes if each.at <= position]
        return max(passing_by, key=_at) if passing_by else ResyncReason.TOO_MANY_REPLAYS

    async def _run_passes(self) -> None:
        while True:
            raise_if_cancelled()
            planned = self._shortest_waiting()
            if planned is None:
                self._planned.clear()
                await self._planned.wait()
                continue
            planned.reading = asyncio.create_task(self._read(planned))
            try:
                await asyncio.wait({planned.reading})
            finally:
                planned.reading.cancel()
                await asyncio.gather(planned.reading, return_exceptions=True)
            self._finish(planned, planned.reading)

    def _shortest_waiting(self) -> Pass | None:
        """Return the shortest pass that waits for its turn, first of accounts that none is being read for."""
        being_read = {each.account for each in self._passes if each.reading is not None}
        waiting = [each for each in self._passes if each.reading is None]
        return max(waiting, key=lambda each: (each.account not in being_read, each.at), default=None)

    def _finish(self, done: Pass, reading: "asyncio.Task[None]") -> None:
        done.reading = None
        # With clients left, it was preempted by a shorter one or joined after its reading ended: it gets another turn.
        if not done.waiting():
            self._passes.remove(done)
        if not reading.cancelled():
            reading.result()  # an unexpected exception must end the service, not only this pass

    async def _read(self, current: Pass) -> None:
        await asyncio.sleep(GATHER_SECONDS)
        while current.waiting():
            raise_if_cancelled()
            try:
                await self._read_once(current)
            except HistoryLost:
                for replay in list(current.waiting()):
                    self._resync(replay, ResyncReason.HISTORY_LOST)
            except HistoryUnavailable as error:
                self._is_failing = True
                await asyncio.sleep(self._health.failed(error_text(error)[:300]))

    async def _read_once(self, current: Pass) -> None:
        """Read until all clients are served or have left."""
        epoch = self._ring.epoch or ""
        # Not from further back than needed: the client with the oldest position may have left before the pass began.
        current.at = max(current.at, min(replay.position for replay in current.waiting()))
        async with aclosing(self._history.after(current.at, epoch, current.account)) as readings:
            is_first = True
            async for page in readings:
                has_more = self._ring.epoch == epoch and await self._serve_page(current, page)
                if not (is_first and has_more):  # the first page comes with the opening: later reads may keep failing
                    self._is_failing = False
                    self._health.succeeded()
                if not has_more:
                    return
                is_first = False

    async def _serve_page(self, current: Pass, page: HistoryPage) -> bool:
        """Send a page to every client that needs it; return whether any client waits for the next one."""
        pace = Pace(self._turns, current.account)
        await pace.begin()
        is_full = False
        while True:
            current.joined.clear()
            for replay in list(current.waiting()):
                if replay.subscription.is_behind() and replay.position < page.upto:
                    is_full |= not self._serve(replay, page)
                    await pace.step()
            waiting = current.waiting()
            if waiting and not any(replay.position < page.upto for replay in waiting):
                current.at = max(current.at, page.upto)
                return True
            if not waiting and not (is_full and await self._linger(current)):
                return False

    async def _linger(self, current: Pass) -> bool:
        """Wait a moment for clients that backpressure has paused to come back."""
        if self._shortest_waiting() is not None:
            return False
        current.lingers = True
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                await current.joined.wait()
        except TimeoutError:
            return False
        finally:
            current.lingers = False
        return True

    def _serve(self, replay: Replay, page: HistoryPage) -> bool:
        """Send a client the part of a page that it lacks; return False where backpressure has paused it."""
        subscription = replay.subscription
        later = [event for event in page.events if event.position > subscription.position]
        replay.progressed_at = monotonic()
        replay.events_left -= len(later)
        if replay.events_left < 0:
            self._resync(replay, ResyncReason.REPLAY_TOO_LONG)
            return True
        if later:
            self._hub.write_events(subscription, later)
        if not subscription.is_behind():
            return False  # it is added again once it resumes
        if not later or subscription.position >= later[-1].position:
            subscription.position = max(subscription.position, page.upto)
        if subscription.position >= self._until:
            self._forget(replay, ReplayOutcome.SERVED)
            self._hub.serve_from_ring(subscription)
        return True

    def _resync(self, replay: Replay, reason: ResyncReason) -> None:
        self._forget(replay, ReplayOutcome(reason.value))
        self._hub.resync_one(replay.subscription, reason)

    def _forget(self, replay: Replay, outcome: ReplayOutcome) -> None:
        self._replays.pop(replay.subscription, None)
        self._ended(outcome)

    async def _supervise(self) -> None:
        """Cancel passes without clients, preempt long ones for short ones, and resync clients that wait too long."""
        while True:
            raise_if_cancelled()
            await asyncio.sleep(SUPERVISE_SECONDS)
            now = monotonic()
            for each in list(self._passes):
                for replay in [one for one in each.waiting() if now - one.progressed_at > self._bounds.patience]:
                    self._resync(replay, self._reason_to_give_up(each))
                if not each.waiting() and now - each.idle_since > LINGER_SECONDS and each.reading is not None:
                    each.reading.cancel()
            self._replays = {
                subscription: replay
                for subscription, replay in self._replays.items()
                if subscription.is_behind() or now - replay.progressed_at <= self._bounds.patience
            }
            self._preempt_longest()

    def _reason_to_give_up(self, waited_for: Pass) -> ResyncReason:
        if self._is_failing:
            return ResyncReason.HISTORY_UNAVAILABLE
        return ResyncReason.REPLAY_TOO_LONG if waited_for.reading else ResyncReason.TOO_MANY_REPLAYS

    def _preempt_longest(self) -> None:
        """Interrupt the longest pass where all readers are busy and a much shorter one waits, or another account's."""
        short = self._shortest_waiting()
        running = [each for each in self._passes if each.reading is not None]
        if short is None or len(running) < READERS:
            return
        longest = min(running, key=_at)
        newest = self._ring.position
        has_all = {each.account for each in running} == {longest.account} != {short.account}
        is_much_longer = age(longest.at, newest) > 2 * age(short.at, newest)
        if (has_all or is_much_longer) and longest.reading is not None:
            longest.reading.cancel()


def _at(each: Pass) -> Position:
    return each.at
