"""Work for many is done a little at a time, in order, and no item has two turns while others wait."""

import asyncio
from collections.abc import Callable

import pytest

from services.gateway import turns
from services.gateway.turns import Turns


async def test_the_loop_goes_round_between_two_turns_of_the_same() -> None:
    seen: list[str] = []
    done = asyncio.Event()

    def act(item: str) -> None:
        seen.append(item)
        if len(seen) < 6:
            asyncio.get_running_loop().call_soon(seen.append, "the loop")
            waiting.add(item)
        else:
            done.set()

    waiting: Turns[str] = Turns(act)
    waiting.add("one")
    async with asyncio.timeout(5):
        await done.wait()
    assert seen == [*(["one", "the loop"] * 3), "one"]
    assert len(waiting) == 0


def test_all_that_wait_have_one_turn_each_in_the_order_in_which_they_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TURN_SECONDS", 60.0)
    due: list[Callable[[], None]] = []
    seen: list[int] = []

    def act(item: int) -> None:
        seen.append(item)
        waiting.add(item)

    waiting: Turns[int] = Turns(act, due.append)
    for number in (1, 2, 3, 1):
        waiting.add(number)
    waiting.discard(2)
    for _ in range(2):
        (call,) = due
        due.clear()
        call()
    assert seen == [1, 3, 1, 3]


def test_when_the_time_is_up_the_others_come_first_in_the_next_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TURN_SECONDS", -1.0)
    due: list[Callable[[], None]] = []
    seen: list[int] = []
    waiting: Turns[int] = Turns(seen.append, due.append)
    for number in (1, 2, 3):
        waiting.add(number)
    while due:
        due.pop()()
    assert seen == [1, 2, 3]


def test_one_that_leaves_in_the_turn_of_another_has_none() -> None:
    due: list[Callable[[], None]] = []
    seen: list[int] = []

    def act(item: int) -> None:
        seen.append(item)
        waiting.discard(item + 1)

    waiting: Turns[int] = Turns(act, due.append)
    waiting.add(1)
    waiting.add(2)
    due.pop()()
    assert (seen, due) == ([1], [])
