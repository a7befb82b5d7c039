"""An account is charged for all that a coroutine does on the event loop, and for nothing that it waits for."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest

from services.common import charged_work
from services.common.charged_work import charged
from services.common.fair_turns import FairTurns, shared_account


class Machine:
    """Turns on a clock that only work moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.turns = FairTurns(clock=lambda: self.now)

    def work(self, seconds: float) -> None:
        self.now += seconds

    async def contend(self) -> None:
        for account in ("one", "another", "one"):
            await self.turns.take(account)


@pytest.fixture
async def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(charged_work, "perf_counter", lambda: machine.now)
    await machine.contend()
    return machine


async def test_each_step_is_charged_for_as_long_as_it_takes(machine: Machine) -> None:
    async def inner() -> str:
        machine.work(0.02)
        await asyncio.sleep(0)
        machine.work(0.03)
        return "done"

    async def outer() -> str:
        machine.work(0.01)
        return await asyncio.create_task(charged(machine.turns, "one", inner()))

    assert await charged(machine.turns, "one", outer()) == "done"
    assert machine.turns.charged == pytest.approx(0.06, abs=0.001)


async def test_nothing_is_charged_for_the_time_of_others(machine: Machine) -> None:
    async def work() -> None:
        machine.work(0.02)
        await waiting

    waiting = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(charged(machine.turns, "one", work()))
    await asyncio.sleep(0)
    machine.work(0.1)
    waiting.set_result(None)
    await task
    assert machine.turns.charged == pytest.approx(0.02, abs=0.001)


async def test_what_was_charged_in_a_step_is_not_charged_twice(machine: Machine) -> None:
    async def work() -> None:
        machine.turns.lasted("one", 0.2)
        machine.work(0.3)

    await charged(machine.turns, "one", work())
    assert machine.turns.charged == pytest.approx(0.3, abs=0.001)


async def test_one_that_reads_for_all_who_wait_is_charged_for_it(machine: Machine) -> None:
    async def work() -> None:
        machine.turns.lasted(shared_account("a list"), 0.2)
        machine.work(0.2)

    await charged(machine.turns, "one", work())
    assert machine.turns.charged == pytest.approx(0.2, abs=0.001)


async def test_a_cancelled_one_is_charged_for_what_it_did_and_cleans_up(machine: Machine) -> None:
    async def work() -> None:
        try:
            machine.work(0.02)
            await asyncio.sleep(60)
        finally:
            machine.work(0.01)

    task = asyncio.create_task(charged(machine.turns, "one", work()))
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert machine.turns.charged == pytest.approx(0.03, abs=0.001)


@pytest.mark.parametrize("fault", [ValueError, TimeoutError, KeyError])
async def test_errors_go_both_ways(machine: Machine, fault: Callable[[], Exception]) -> None:
    async def work(waiting: asyncio.Future[None]) -> None:
        try:
            await waiting
        except Exception as error:
            machine.work(0.01)
            raise RuntimeError from error

    waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(charged(machine.turns, "one", work(waiting)))
    await asyncio.sleep(0)
    waiting.set_exception(fault())
    with pytest.raises(RuntimeError):
        await task
    assert machine.turns.charged == pytest.approx(0.01, abs=0.001)


async def test_nothing_is_charged_while_nobody_else_asks() -> None:
    turns = FairTurns()
    await turns.take("one")
    await charged(turns, "one", asyncio.sleep(0))
    assert turns.charged == 0.0
