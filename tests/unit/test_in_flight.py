"""One account has so much in flight at once, and keeps no other waiting."""

import asyncio

import pytest

from services.gateway.in_flight import InFlight, Patience
from tests.waiting import until


async def test_requests_of_one_account_beyond_its_bound_wait_and_others_do_not() -> None:
    flights = InFlight(2)
    inside: list[str] = []
    leave = asyncio.Event()

    async def fly(account: str) -> None:
        async with flights.slot(account):
            inside.append(account)
            await leave.wait()

    tasks = [asyncio.create_task(fly("many")) for _ in range(5)] + [asyncio.create_task(fly("one"))]
    await until(lambda: "one" in inside, "the other account is in")
    assert inside.count("many") == 2
    tasks[4].cancel()  # while it waits
    leave.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert inside.count("many") == 4
    assert len(flights) == 0


class TooLong(Exception):
    """It was not to be waited for."""


async def test_what_waits_too_long_is_refused_and_takes_no_slot() -> None:
    flights = InFlight(1, Patience(wait=0.05, full=60.0, refusal=TooLong))
    async with flights.slot("one"):
        for _ in range(2):
            with pytest.raises(TooLong):
                async with flights.slot("one"):
                    raise AssertionError("there is one slot only")
    async with flights.slot("one"):
        assert len(flights) == 1
    assert len(flights) == 0


async def test_what_would_wait_too_long_is_refused_at_once() -> None:
    flights = InFlight(1, Patience(wait=60.0, full=0.0, refusal=TooLong))
    got = asyncio.Event()

    async def wait() -> None:
        async with flights.slot("one"):
            got.set()

    async with flights.slot("one"):
        first = asyncio.create_task(wait())
        await asyncio.sleep(0.01)
        with pytest.raises(TooLong):
            async with flights.slot("one"):
                raise AssertionError("there is one slot only")
        async with flights.slot("another"):
            """It is not behind the others."""
        assert not got.is_set()
    await first
    async with flights.slot("one"):
        assert len(flights) == 1
    assert len(flights) == 0
