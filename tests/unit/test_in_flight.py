"""One account has so much in flight at once, and keeps no other waiting."""

import asyncio

from services.gateway.in_flight import InFlight
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
