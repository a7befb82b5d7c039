"""Searches for one account fill a part of MongoDB's time only, and delay no other account."""

import asyncio
from typing import Any

import pytest

from services.common import time_budget
from services.common.cursor import Position
from services.common.fair_turns import FairTurns
from services.common.time_budget import TimeBudget
from services.gateway.filters import EVERYTHING
from services.gateway.order_history import BUDGET_SECONDS, BUDGET_SHARE, OrderHistory
from services.gateway.redis_log import LogUnavailable
from services.gateway.replay import ReplayBounds
from services.gateway.ring import Ring
from services.mongodb.order_changes import OplogStretch

STRETCH = 0.1  # seconds of the machine's time that each search takes
NEWEST = Position(1_700_000_000 << 32, 0)


class Machine:
    """Stands in for the clock, for Redis, which has nothing, and for MongoDB, which takes time and finds nothing."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.worked = 0.0
        self.searches = 0
        self.command = STRETCH  # seconds, however short the stretch is
        self.too_slow = 0  # searches that are given up

    async def between(self, _id: object, since: int, *_: object) -> OplogStretch:
        self.now += self.command
        self.worked += self.command
        self.searches += 1
        if self.searches <= self.too_slow:
            raise TimeoutError
        return OplogStretch([], since, False)

    async def is_merged(self) -> bool:
        return False

    async def upto(self, _: object) -> None:
        raise LogUnavailable("there is no Redis")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    pause = asyncio.sleep

    async def sleep(seconds: float) -> None:
        machine.now += seconds
        await pause(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return machine


def history_on(machine: Any) -> OrderHistory:
    ring = Ring(10, 10)
    ring.reset("e1", NEWEST)
    bounds = ReplayBounds(events=10, age=3600.0, patience=10.0, passes=4, passes_per_account=2)
    return OrderHistory(ring, machine, machine, machine, FairTurns(), bounds, lambda: False, clock=lambda: machine.now)


async def test_one_that_searches_without_end_keeps_mongodb_busy_for_a_sixth_of_the_time(machine: Machine) -> None:
    history = history_on(machine)
    began = machine.now
    for _ in range(100):
        async with history.turn("flood"):
            past = await history.before("1", NEWEST, 1, EVERYTHING, "flood")
            assert past.since < NEWEST  # each search gets somewhere
    assert machine.worked <= BUDGET_SECONDS + BUDGET_SHARE * (machine.now - began) + STRETCH


async def test_a_busy_machine_on_which_each_command_takes_long_searches_no_shorter_stretches_for_that(
    machine: Machine,
) -> None:
    """Each of a second, once a few had been given up: an hour of the oplog took so many searches."""
    machine.command, machine.too_slow = 0.2, 4
    past = await history_on(machine).before("1", NEWEST, 1, EVERYTHING, "one")
    assert past.is_end
    assert machine.searches < 300


async def test_another_account_does_not_wait_for_it(machine: Machine) -> None:
    machine.command = STRETCH / 10  # so that its own budget lasts
    history = history_on(machine)
    for _ in range(20):
        async with history.turn("flood"):
            await history.before("1", NEWEST, 1, EVERYTHING, "flood")
    began, worked = machine.now, machine.worked
    async with history.turn("another"):
        await history.before("1", NEWEST, 1, EVERYTHING, "another")
    assert machine.now - began == pytest.approx(machine.worked - worked)


async def test_every_request_gets_somewhere_however_long_the_last_one_took(machine: Machine) -> None:
    budget = TimeBudget(0.5, 0.125, 1.0, lambda: machine.now)
    with budget.spending("one"):
        machine.now += 60.0
    began = machine.now
    await budget.available("one")
    assert machine.now - began == 1.0


async def test_accounts_whose_budget_is_whole_again_are_forgotten(machine: Machine) -> None:
    budget = TimeBudget(0.5, 0.125, 1.0, lambda: machine.now)
    for number in range(3 * time_budget._KEPT):
        machine.now += 1.0
        with budget.spending(str(number)):
            machine.now += STRETCH
    assert len(budget) <= time_budget._KEPT
