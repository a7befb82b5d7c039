"""Replays from the oplog: a client that comes in the moment in which a pass ends is served all the same."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from services.common.cursor import Position
from services.common.fair_turns import FairTurns
from services.common.tasks import Tasks
from services.gateway.filters import EVERYTHING
from services.gateway.history import HistoryPage
from services.gateway.hub import Hub
from services.gateway.replay import ReplayBounds
from services.gateway.replays import Replays
from services.gateway.ring import Ring
from services.gateway.subscription import Mode, Subscription
from tests.stream_events import EPOCH, Outlet, event
from tests.waiting import HANGS, until

_SECOND = 1 << 32
END = Position(150 * _SECOND, 0)


class Oplog:
    """Stands in for the oplog: a change at each of the seconds 100 to 109; it may be held before the last."""

    def __init__(self) -> None:
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.held = ""  # only for this account, where it is given

    async def after(self, position: Position, _epoch: str, account: str) -> AsyncGenerator[HistoryPage]:
        for second in range(100, 110):
            if second == 109 and account.startswith(self.held):
                await self.goes_on.wait()
            if second * _SECOND > position.ts:
                yield HistoryPage([event(second * _SECOND)], Position(second * _SECOND, 0))
        while True:
            yield HistoryPage([], END)
            await asyncio.sleep(0.01)


@dataclass
class Replaying:
    """Replays of an imaginary oplog, and the hub whose clients they serve."""

    hub: Hub
    replays: Replays
    oplog: Oplog

    def join(self, second: int, outlet: Outlet | None = None, account: str = "") -> Subscription:
        """Let a client come with the cursor of a second."""
        subscription = self.hub.subscribe(outlet or Outlet(), EVERYTHING, Position(second * _SECOND, 0), account)
        self.hub.resume(subscription)
        return subscription


@asynccontextmanager
async def replaying(bounds: ReplayBounds) -> AsyncGenerator[Replaying]:
    ring = Ring(100)
    ring.reset(EPOCH, END)
    turns = FairTurns()
    hub = Hub(ring, lambda subscription: replays.add(subscription, END), turns)
    hub.resume_points.log_floor = END
    oplog = Oplog()
    replays = Replays(cast("Any", oplog), ring, hub, turns, bounds, lambda _outcome: None)
    async with Tasks() as tasks:
        replays.start(tasks)
        yield Replaying(hub, replays, oplog)


async def test_a_client_that_joins_a_pass_whose_reading_has_ended_is_served_too() -> None:
    async with replaying(ReplayBounds()) as those:
        those.join(99)

        async def join_as_it_ends() -> None:
            passes = those.replays._passes
            while not any(each.reading is not None and each.reading.done() for each in passes):
                await asyncio.sleep(0)
                passes = those.replays._passes

        async with asyncio.timeout(HANGS):
            await join_as_it_ends()
        late = those.join(149)
        await until(lambda: late.mode is Mode.LIVE, "the late one is live")


async def test_a_client_just_behind_a_running_pass_waits_for_the_next_one() -> None:
    async with replaying(ReplayBounds(passes=1, passes_per_account=1)) as those:
        those.oplog.goes_on.clear()
        first = Outlet()
        those.join(103, first)
        await until(lambda: len(first.seen) == 5, "a pass reads on for the first")
        behind = [Outlet() for _ in range(20)]
        clients = [those.join(99 + number % 5, outlet) for number, outlet in enumerate(behind)]
        those.oplog.goes_on.set()
        await until(lambda: all(client.mode is Mode.LIVE for client in clients), "all are served")
    assert [outlet.resyncs for outlet in behind] == [[]] * 20
    assert [len(outlet.seen) for outlet in behind] == [10, 9, 8, 7, 6] * 4  # the ring has nothing later


async def test_a_pass_in_which_one_account_has_many_clients_is_not_shared() -> None:
    """Each page is sent to all of them before the next is read: with 600 others it took 12 s in place of 0.2."""
    async with replaying(ReplayBounds()) as those:
        those.oplog.held = "crowd"
        those.oplog.goes_on.clear()
        crowd = [those.join(99, account="crowd") for _ in range(30)]
        other = those.join(99, account="other")
        await until(lambda: other.mode is Mode.LIVE, "the other one is live")
        late = [those.join(99, account="crowd") for _ in range(30)]
        assert {client.mode for client in [*crowd, *late]} == {Mode.BEHIND}
        those.oplog.goes_on.set()
        await until(lambda: all(client.mode is Mode.LIVE for client in [*crowd, *late]), "all are served")


async def test_one_account_does_not_keep_all_readers_while_another_waits() -> None:
    async with replaying(ReplayBounds()) as those:
        those.oplog.held = "crowd"
        those.oplog.goes_on.clear()
        seen = Outlet()
        crowd = [those.join(103, outlet, "crowd") for outlet in [seen] + [Outlet() for _ in range(29)]]
        await until(lambda: len(seen.seen) == 5, "a pass reads on for the crowd")
        crowd += [those.join(99, account="crowd") for _ in range(30)]
        await until(lambda: sum(each.reading is not None for each in those.replays._passes) == 2, "and another one")
        other = those.join(99, account="other")
        await until(lambda: other.mode is Mode.LIVE, "the other one is live")
        those.oplog.goes_on.set()
        await until(lambda: all(client.mode is Mode.LIVE for client in crowd), "all are served")
