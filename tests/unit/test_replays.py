"""Replays from the oplog: a client that comes in the moment in which a pass ends is served all the same."""

import asyncio
from collections.abc import AsyncGenerator
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
from services.gateway.subscription import Mode
from tests.stream_events import EPOCH, Outlet, event
from tests.waiting import until

_SECOND = 1 << 32
END = Position(150 * _SECOND, 0)


class Oplog:
    """Stands in for the oplog: a change at each of the seconds 100 to 109."""

    async def after(self, position: Position, _epoch: str, _account: str) -> AsyncGenerator[HistoryPage]:
        for second in range(100, 110):
            if second * _SECOND > position.ts:
                yield HistoryPage([event(second * _SECOND)], Position(second * _SECOND, 0))
        while True:
            yield HistoryPage([], END)
            await asyncio.sleep(0.01)


async def test_a_client_that_joins_a_pass_whose_reading_has_ended_is_served_too() -> None:
    ring = Ring(100)
    ring.reset(EPOCH, END)
    turns = FairTurns()
    hub = Hub(ring, lambda subscription: replays.add(subscription, END), turns)
    hub.log_floor = END
    replays = Replays(cast("Any", Oplog()), ring, hub, turns, ReplayBounds(), lambda _outcome: None)
    async with Tasks() as tasks:
        replays.start(tasks)
        hub.resume(hub.subscribe(Outlet(), EVERYTHING, Position(99 * _SECOND, 0)))

        async def join_as_it_ends() -> None:
            while not any(each.reading is not None and each.reading.done() for each in replays._passes):  # noqa: ASYNC110
                await asyncio.sleep(0)

        async with asyncio.timeout(10):
            await join_as_it_ends()
        late = hub.subscribe(Outlet(), EVERYTHING, Position(149 * _SECOND, 0))
        hub.resume(late)
        await until(lambda: late.mode is Mode.LIVE, "the late one is live", 10)
