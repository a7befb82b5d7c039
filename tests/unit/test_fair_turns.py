"""Long work takes turns: one step in each pass of the loop, and one account after the other."""

import asyncio
import itertools
import socket
import time
from collections.abc import Coroutine
from contextvars import ContextVar
from typing import Any
from unittest.mock import MagicMock

import pytest
import uvloop

from services.common import fair_turns
from services.common.contention import CONTENDED_SECONDS
from services.common.cooldowns import WHOLE_COOLDOWN
from services.common.fair_turns import FairTurns, Pace
from services.front.front import Front
from services.gateway.engineio.server import EngineServer
from services.gateway.http.rest import OrdersApi
from tests.waiting import HANGS, until, within


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make each step last longer than a turn may."""
    monkeypatch.setattr(fair_turns, "PASS_SECONDS", 0.0)
    return []


async def work(turns: FairTurns, account: str, count: int, steps: list[str]) -> None:
    pace = Pace(turns, account)
    await pace.begin()
    for _ in range(count):
        steps.append(account)
        await pace.step()


async def together(*works: Coroutine[object, object, None]) -> None:
    async with asyncio.timeout(HANGS):
        await asyncio.gather(*works)


async def test_no_request_waits_for_all_work_of_another(steps: list[str]) -> None:
    turns = FairTurns()
    await together(*(work(turns, "many", 3, steps) for _ in range(16)), work(turns, "one", 3, steps))
    assert len(steps) == 51
    assert [at for at, account in enumerate(steps) if account == "one"][-1] < 8


async def test_there_is_one_step_in_each_pass_of_the_loop(steps: list[str]) -> None:
    turns = FairTurns()
    passes: list[int] = []

    async def count_passes() -> None:
        while len(steps) < 12:
            passes.append(len(steps))
            await asyncio.sleep(0)

    await together(count_passes(), *(work(turns, f"{number}", 3, steps) for number in range(4)))
    grown = [after - before for before, after in itertools.pairwise(passes)]
    assert max(grown) == 1


async def test_work_that_is_alone_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fair_turns, "PASS_SECONDS", 60.0)
    pace = Pace(FairTurns(), "one")
    task = pace.begin()
    with pytest.raises(StopIteration):
        task.send(None)
    for _ in range(10):
        await pace.step()


async def test_what_has_begun_goes_before_what_is_new_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fair_turns, "PASS_SECONDS", 0.0)  # one turn in each pass
    turns = FairTurns()
    done: list[str] = []
    for _ in range(20):
        turns.add("one", lambda: done.append("new"))

    async def work() -> None:
        pace = Pace(turns, "one")
        await pace.begin()
        for _ in range(5):
            done.append("begun")
            await pace.step()

    async with asyncio.timeout(HANGS):
        await asyncio.gather(*(work() for _ in range(6)))
    assert done.index("begun") <= 3  # not behind the twenty
    assert 6 <= done.count("new") <= 15  # nor did they wait for the end of the work


async def test_what_a_step_waits_for_is_no_part_of_it() -> None:
    turns = FairTurns()
    for end in (False, True):
        pace = Pace(turns, "one")
        await pace.begin()
        await asyncio.sleep(0.01)  # for a database, much longer than a step may last without a cooldown
        if end:
            pace.end()
        else:
            await pace.step()
        assert not turns._cooldowns


async def test_an_account_waits_for_as_long_as_the_thread_works_for_others() -> None:
    turns = FairTurns()
    waited: list[float] = []

    def work() -> None:
        end = time.thread_time() + 0.02
        while time.thread_time() < end:
            pass

    for _ in range(3):
        turns.add("one", work)
    turns.add("two", lambda: waited.append(turns.waits("one")))
    turns.add("one", lambda: waited.append(-1.0))
    await until(lambda: len(waited) == 2, "all had their turns")
    assert waited[0] >= 0.02  # those of `one` that were left then had waited since the beginning
    await asyncio.sleep(0.05)  # with nothing to do
    turns.add("one", lambda: None)
    assert turns.waits("one") < 0.01


async def test_abandoned_work_keeps_no_request_waiting(steps: list[str]) -> None:
    turns = FairTurns()
    first, second, third = (asyncio.create_task(work(turns, name, 5, steps)) for name in "abc")
    await asyncio.sleep(0)
    second.cancel()
    async with asyncio.timeout(HANGS):
        await asyncio.gather(first, third)
    assert steps.count("a") == steps.count("c") == 5
    assert second.cancelled()


async def test_what_is_done_at_once_counts_for_the_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fair_turns, "PASS_SECONDS", 0.0)  # filled by whatever is done
    turns = FairTurns()
    done: list[str] = []
    turns.charge("another", 1.0)
    assert not turns.run("one", done.append, "too much")
    turns.add("one", lambda: done.append("later"))
    assert done == []
    await asyncio.sleep(0)
    assert done == ["later"]


async def test_work_that_may_be_done_at_once_does_not_overtake_what_waits() -> None:
    turns = FairTurns()
    done: list[str] = []
    turns.add("one", lambda: done.append("first"))
    assert not turns.run("one", done.append, "second")
    await asyncio.sleep(0)
    assert done == ["first"]
    assert turns.run("one", done.append, "second")


async def test_after_a_step_that_cannot_be_divided_its_account_rests_and_others_do_not() -> None:
    turns = FairTurns()
    done: list[str] = []
    turns.lasted("slow", 0.3)
    slow = asyncio.create_task(turns.take("slow"))
    await asyncio.sleep(0)
    turns.add("quick", lambda: done.append("quick"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert done == ["quick"]
    assert not slow.done()
    await asyncio.wait_for(slow, HANGS)
    for seconds in (0.002, 0.0002):
        for number in range(1000):
            turns.lasted(f"{number}", seconds)
    await asyncio.sleep(0.003)
    turns.lasted("one more", 0.002)
    assert len(turns._cooldowns) < 500


async def test_the_rest_is_longer_while_others_want_turns() -> None:
    now = 0.0
    turns = FairTurns(clock=lambda: now)

    async def cooldown(account: str, seconds: float, *, was_whole: bool = True) -> float:
        """Return how long the cooldown of the account is after a step, looked at every hundredth of a second."""
        nonlocal now
        await turns.take(account)
        turns.lasted(account, seconds, was_whole=was_whole)
        began = now
        while turns._cooldowns.of(account):
            now += 0.01
        return now - began

    for _ in range(2):
        assert await cooldown("one", 0.1) == pytest.approx(0.1, abs=0.011)
        await turns.take(fair_turns.INTERNAL)  # the gateway's own work is nobody else's,
        await turns.take(fair_turns.shared_account("list"))  # nor is what many wait for
    await turns.take("another")
    assert await cooldown("one", 0.1, was_whole=False) == pytest.approx(0.1, abs=0.011)  # it takes turns as it is
    await turns.take("another")
    assert await cooldown("one", 0.1) == pytest.approx(0.1 * WHOLE_COOLDOWN, abs=0.011)
    now += CONTENDED_SECONDS
    assert await cooldown("one", 0.1) == pytest.approx(0.1, abs=0.011)


async def test_one_account_has_half_of_the_loop_while_others_ask_and_a_quarter_once_it_has_spent_its_budget() -> None:
    now = 0.0
    turns = FairTurns(clock=lambda: now)

    async def work(account: str, seconds: float) -> float:
        """Have work of a tenth of a millisecond done for so long, whenever it may; return the share that was done."""
        nonlocal now
        end, worked = now + seconds, 0.0
        while now < end:
            await turns.take("another") if is_contended else None
            await asyncio.sleep(0)  # another pass of the loop
            if turns.run(account, lambda: None):
                turns.charge(account, 0.0001)
                worked += 0.0001
            now += 0.0001
        return worked / seconds

    is_contended = False
    assert await work("flood", 1.0) == pytest.approx(1.0, abs=0.001)
    is_contended = True
    assert await work("flood", 0.5) == pytest.approx(0.5, abs=0.1)
    await work("flood", 0.5)
    assert await work("flood", 1.0) == pytest.approx(0.25, abs=0.06)
    assert await work("a while later", 0.5) == pytest.approx(0.5, abs=0.1)
    now += 2.0
    assert await work("flood", 0.5) == pytest.approx(0.5, abs=0.1)


async def test_cooldowns_add_up_for_a_moment_only() -> None:
    turns = FairTurns(clock=lambda: 0.0)
    for account in ("one", "another"):
        await turns.take(account)
    for _ in range(1000):
        turns.charge("one", 0.05)
    assert turns._cooldowns.of("one") == pytest.approx(0.2)


async def test_the_rest_of_one_account_does_not_prolong_that_of_another() -> None:
    turns = FairTurns()
    turns.lasted("long", 60.0)
    turns.lasted("long", 0.002)  # a short step does not end the cooldown of a long one
    turns.lasted("short", 0.05)
    waiting = asyncio.create_task(turns.take("long"))
    await asyncio.sleep(0)
    async with within(5):
        await turns.take("short")
    assert not waiting.done()
    waiting.cancel()


def test_rests_that_are_over_at_once_end_without_an_error() -> None:
    now = 0.0
    errors: list[dict[str, Any]] = []

    async def cooldown() -> None:
        nonlocal now
        asyncio.get_running_loop().set_exception_handler(lambda _, error: errors.append(error))
        turns = FairTurns(clock=lambda: now)
        for account in ("one", "another"):
            turns.lasted(account, 0.01)
        now = 0.0099  # a tenth of a millisecond before the end, for which uvloop has no timer
        cooling = [asyncio.create_task(turns.take(account)) for account in ("one", "another")]
        async with asyncio.timeout(HANGS):
            await asyncio.sleep(0)
            await turns.take("third")
            now = 1.0
            await asyncio.gather(*cooling)

    uvloop.run(cooldown())
    assert not errors


async def test_a_piece_of_work_that_fails_costs_its_connection_and_no_other_its_turn() -> None:
    turns = FairTurns()
    done: list[str] = []
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context["exception"]))
    ours, theirs = socket.socketpair()
    transport, _ = await asyncio.get_running_loop().create_unix_connection(asyncio.Protocol, sock=ours)

    def fail() -> None:
        raise LookupError("odd")

    turns.add("one", fail, transport)
    turns.add("another", lambda: done.append("another"))
    await until(lambda: done == ["another"], "the other has its turn")
    assert [type(error) for error in errors] == [LookupError]
    assert transport.is_closing()
    theirs.close()


def test_turns_that_are_handed_on_are_shared() -> None:
    turns = FairTurns()
    nothing: Any = None
    assert Front(nothing, nothing, turns=turns).turns is turns
    assert EngineServer(nothing, turns=turns).turns is turns
    assert OrdersApi(MagicMock(), nothing, turns=turns).turns is turns


async def test_what_one_has_set_for_itself_holds_in_no_turn_of_another() -> None:
    deadline = ContextVar("deadline", default="none")
    seen: list[str] = []

    async def ask() -> None:
        deadline.set("of the question")
        await turns.take("a")
        seen.append(deadline.get())

    turns = FairTurns()
    turns.charge("one", 1.0)  # so that the question has to wait, and arranges the next pass
    await asyncio.sleep(0)
    turns.charge("one", 1.0)
    question = asyncio.create_task(ask())
    await asyncio.sleep(0)
    started: list[asyncio.Task[None]] = []

    async def served() -> None:
        seen.append(deadline.get())

    turns.add("b", lambda: started.append(asyncio.create_task(served())))
    await question
    await until(lambda: started, "the other had its turn")
    await asyncio.gather(*started)
    assert sorted(seen) == ["none", "of the question"]
