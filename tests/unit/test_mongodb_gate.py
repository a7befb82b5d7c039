"""So many requests pass to MongoDB at once; the rest wait, address by address, or are turned away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from services.common.contention import CONTENDED_SECONDS
from services.gateway.mongodb_gate import OF_ONE, MongodbGate, Spent
from services.gateway.store_errors import Overloaded
from tests.waiting import until


class Visits:
    """Requests that hold their place until they are let go."""

    def __init__(self, gate: MongodbGate) -> None:
        self.gate = gate
        self.inside: list[str] = []
        self.refused: list[str] = []
        self.go_on = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    def send(self, *accounts: str) -> None:
        self.tasks += [asyncio.create_task(self._visit(account)) for account in accounts]

    async def _visit(self, account: str) -> None:
        try:
            async with self.gate.slot(account):
                self.inside.append(account)
                await self.go_on.wait()
        except Overloaded:
            self.refused.append(account)


@asynccontextmanager
async def visits(gate: MongodbGate) -> AsyncIterator[Visits]:
    going = Visits(gate)
    try:
        yield going
    finally:
        going.go_on.set()
        await asyncio.gather(*going.tasks, return_exceptions=True)
        gate.close()
        assert (gate.passing, gate.waiting) == (0, 0)


async def test_no_more_pass_than_may_and_one_account_may_take_all_places_that_nobody_else_wants() -> None:
    async with visits(MongodbGate(8)) as going:
        going.send(*["many"] * 20)
        await until(lambda: going.gate.waiting == 12, "all have come")
        assert going.inside == ["many"] * 8


async def test_a_flood_waits_behind_itself_and_not_before_others() -> None:
    async with visits(MongodbGate(2, wait=30)) as going:
        going.send(*["many"] * 50, "one", "other", "one")
        await until(lambda: going.gate.waiting == 51, "all have come")
        going.go_on.set()
        await until(lambda: len(going.inside) == 53, "all were let in")
        assert going.inside[2:7] == ["many", "one", "other", "many", "one"]
        assert not going.refused


async def test_while_others_ask_an_account_has_its_part_and_no_more() -> None:
    now = 0.0
    async with visits(MongodbGate(8, wait=30, clock=lambda: now)) as going:
        going.send("one", *["many"] * 20)
        await until(lambda: going.gate.waiting == 20 - OF_ONE, "it has its part")
        going.send("one", "other")
        await until(lambda: len(going.inside) == OF_ONE + 3, "there was room for others")
        now += CONTENDED_SECONDS  # in which nobody asks
        going.tasks[0].cancel()
        await until(lambda: going.inside.count("many") == OF_ONE + 4, "it may take what others do not want")


async def test_who_would_wait_too_long_is_turned_away_and_a_flood_turns_nobody_else_away() -> None:
    turned_away: list[None] = []
    gate = MongodbGate(1, wait=0.05, full=30)
    gate.turned_away = lambda: turned_away.append(None)
    with capture_logs() as lines:
        async with visits(gate) as going:
            going.send("holder", *["many"] * 20)
            await until(lambda: len(going.refused) == 20, "they have waited long enough")
    assert len(turned_away) == 20
    assert [(line["event"], line["log_level"]) for line in lines] == [("Overloaded: requests are refused", "warning")]

    gate = MongodbGate(1, wait=30, full=0.0)
    async with visits(gate) as going:
        going.send("holder", "many")
        await until(lambda: gate.waiting == 1, "the first one waits")
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            gate.check("many")
        gate.check("one")
        going.send("many", "one")
        await until(lambda: gate.waiting == 2, "the other account waits, too")
        assert going.refused == ["many"]


async def test_a_place_is_given_on_where_its_client_has_left() -> None:
    async with visits(MongodbGate(1, wait=30)) as going:
        going.send("a", "b", "c", "d")
        await until(lambda: going.gate.waiting == 3, "all have come")
        going.tasks[1].cancel()  # while it waits
        await until(lambda: going.gate.waiting == 2, "it has left the line")
        going.tasks[0].cancel()
        await asyncio.sleep(0)
        going.tasks[2].cancel()  # when its turn has come, before it knows
        await until(lambda: going.inside == ["a", "d"], "the last one is let in")


async def test_it_is_noted_how_long_a_request_waited_and_took() -> None:
    gate, spent = MongodbGate(1), Spent()
    async with gate.slot("one", spent):
        pass
    first = spent.passed
    async with gate.slot("one", spent):  # a request may ask several times
        pass
    assert spent.waited is not None
    assert first is not None
    assert spent.passed is not None
    assert spent.passed > first
    gate.close()
