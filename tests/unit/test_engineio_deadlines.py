"""Many equal waits, one timer."""

import asyncio
import socket
import time
from collections import Counter

import pytest
import uvloop

from services.common import deadlines as deadlines_module
from services.common.deadlines import Deadlines
from tests.waiting import until


@pytest.fixture
def due() -> list[str]:
    return []


async def test_each_wait_ends_in_order_and_after_its_time(due: list[str]) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    times: list[float] = []

    def end(item: str) -> None:
        due.append(item)
        times.append(loop.time())
        if item == "c":
            ended.set()

    deadlines = Deadlines(0.05, end)
    begin = loop.time()
    deadlines.add("a")
    deadlines.add("b")
    await asyncio.sleep(0.03)
    deadlines.add("c")
    await ended.wait()
    assert due == ["a", "b", "c"]
    assert times[0] - begin >= 0.049
    assert times[2] - begin >= 0.079


async def test_a_cancelled_wait_ends_in_silence(due: list[str]) -> None:
    deadlines = Deadlines(0.02, due.append)
    deadlines.add("a").cancel()
    deadlines.add("b")
    assert deadlines.pending == ["b"]
    await asyncio.sleep(0.06)
    assert due == ["b"]
    assert deadlines.pending == []


async def test_an_expired_entry_may_begin_another_wait(due: list[str]) -> None:
    def again(item: str) -> None:
        due.append(item)
        if len(due) < 3:
            deadlines.add(item)

    deadlines = Deadlines(0.01, again)
    deadlines.add("a")
    await until(lambda: due == ["a", "a", "a"], "it has waited three times")
    assert not deadlines.pending


async def test_after_another_wait_delays_do_not_add_up(due: list[str]) -> None:
    first = Deadlines(0.05, due.append).add("a")
    time.sleep(0.07)  # noqa: ASYNC251  # the loop is late, which is the point
    assert Deadlines(0.05, due.append).add("b", after=first).at == pytest.approx(first.at + 0.05)


def test_after_a_stall_received_data_is_read_before_any_client_is_given_up(due: list[str]) -> None:
    """A process that was stopped for a minute must not close all clients for not having answered meanwhile."""

    async def stall() -> None:
        here, there = socket.socketpair()
        entry = Deadlines(0.05, due.append).add("a")
        asyncio.get_running_loop().add_reader(here, entry.cancel)
        there.send(b"pong")
        time.sleep(0.5)  # noqa: ASYNC251  # as above
        await asyncio.sleep(0.05)
        asyncio.get_running_loop().remove_reader(here)
        here.close()
        there.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # whose timers go before its sockets
        runner.run(stall())
    assert due == []


async def test_an_error_of_one_leaves_the_others_their_time(due: list[str]) -> None:
    def end(item: str) -> None:
        if item == "odd":
            raise LookupError(item)
        due.append(item)

    failed: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(str(context["exception"])))
    deadlines = Deadlines(0.01, end)
    for item in ("odd", "a"):
        deadlines.add(item)
    await asyncio.sleep(0)
    deadlines.add("odd")
    await until(lambda: due == ["a"], "the wait behind the odd one has ended")
    await until(lambda: not deadlines.pending, "the last one, too")
    deadlines.add("b")
    await until(lambda: due == ["a", "b"], "there is still a timer")
    assert failed == ["odd", "odd"]


async def test_nothing_ends_after_close(due: list[str]) -> None:
    deadlines = Deadlines(0.01, due.append)
    deadlines.add("a")
    deadlines.close()
    await asyncio.sleep(0.03)
    assert due == []


async def test_waits_that_are_begun_and_ended_all_the_time_do_not_pile_up(due: list[str]) -> None:
    """A client that is full and empty by turns begins one each time; they were kept for half a minute each."""
    deadlines = Deadlines(3600, due.append)
    kept = [deadlines.add(f"{number}") for number in range(300)]
    for _ in range(100_000):
        deadlines.add("again").cancel()
    assert len(deadlines) < 1200
    assert deadlines.pending == [f"{number}" for number in range(300)]
    for entry in kept:
        entry.cancel()
        entry.cancel()
    assert len(deadlines) <= 600
    deadlines.close()


async def test_many_waits_that_fall_due_at_once_are_handled_in_many_turns(
    due: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines_module, "_FIRE_SECONDS", 0.0)
    turns: Counter[int] = Counter()
    turn = 0

    def handle(item: str) -> None:
        time.sleep(0.0001)  # so that the clock goes on, however coarse it is
        turns[turn] += 1
        due.append(item)

    deadlines = Deadlines(0.01, handle)
    for number in range(50):
        deadlines.add(f"{number}")
    while len(due) < 50:
        turn += 1
        await asyncio.sleep(0)
    assert due == [f"{number}" for number in range(50)]
    assert max(turns.values()) <= 2
