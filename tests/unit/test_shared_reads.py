"""Equal requests share a read, if it begins after they have come."""

import asyncio

import pytest

from services.gateway.in_flight import InFlight
from services.gateway.shared_reads import LONGEST_PAUSE, SharedReads
from services.gateway.store_errors import Overloaded
from tests.waiting import HANGS, until, within


class Reads:
    """Reads that last until they are let go; each returns its number."""

    def __init__(self) -> None:
        self.begun = 0
        self.go_on = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.begun += 1
        number = self.begun
        await self.go_on.wait()
        if self.error is not None:
            raise self.error
        return number


async def ask(shared: SharedReads[str, int], reads: Reads, key: str = "k", account: str = "a") -> int:
    async with shared.reading(key, account, reads) as value:
        return value


async def test_who_comes_after_the_start_of_a_read_gets_the_next_one() -> None:
    shared, reads = SharedReads[str, int](InFlight(4)), Reads()
    first = asyncio.create_task(ask(shared, reads))
    await until(lambda: reads.begun == 1, "the first read has begun")
    later = [asyncio.create_task(ask(shared, reads, account=str(number))) for number in range(1000)]
    await asyncio.sleep(0)
    reads.go_on.set()
    assert await first == 1
    assert set(await asyncio.gather(*later)) == {2}
    await until(lambda: not len(shared), "nothing is kept")


async def test_other_keys_are_read_apart_and_at_once() -> None:
    shared, reads = SharedReads[str, int](InFlight(4)), Reads()
    asked = [asyncio.create_task(ask(shared, reads, key)) for key in "xyz"]
    await until(lambda: reads.begun == 3, "all three are being read")
    reads.go_on.set()
    assert sorted(await asyncio.gather(*asked)) == [1, 2, 3]


async def test_one_after_the_other_waits_for_nothing_and_a_crowd_for_a_moment() -> None:
    shared, reads = SharedReads[str, int](InFlight(4)), Reads()
    reads.go_on.set()
    async with within(LONGEST_PAUSE):
        for _ in range(200):
            await ask(shared, reads)
    assert reads.begun == 200
    for _ in range(2):
        await asyncio.gather(*(ask(shared, reads) for _ in range(500)))
    assert reads.begun <= 204


async def test_an_error_reaches_all_who_share_it() -> None:
    shared, reads = SharedReads[str, int](InFlight(4)), Reads()
    first = asyncio.create_task(ask(shared, reads))
    await until(lambda: reads.begun == 1, "it has begun")
    others = [asyncio.create_task(ask(shared, reads)) for _ in range(3)]
    await asyncio.sleep(0)
    reads.error = RuntimeError("broken")
    reads.go_on.set()
    for each in [first, *others]:
        with pytest.raises(RuntimeError, match="broken"):
            await each
    assert reads.begun == 2


async def test_what_is_not_small_is_read_by_each_within_the_slots_of_its_account() -> None:
    shared, reads = SharedReads[str, int](InFlight(2), lambda _: False), Reads()
    asked = [asyncio.create_task(ask(shared, reads)) for _ in range(10)]
    await until(lambda: reads.begun == 1, "one reads")
    reads.go_on.set()
    assert sorted(await asyncio.gather(*asked)) == [*range(1, 11)]


async def test_one_who_leaves_while_waiting_does_not_take_the_others_along() -> None:
    shared, reads = SharedReads[str, int](InFlight(4)), Reads()
    first = asyncio.create_task(ask(shared, reads))
    await until(lambda: reads.begun == 1, "the first read has begun")
    leader, follower = (asyncio.create_task(ask(shared, reads)) for _ in range(2))
    await asyncio.sleep(0)  # as above, they wait now
    leader.cancel()
    await asyncio.sleep(0)
    reads.go_on.set()
    assert await first == 1
    assert await follower == 2
    assert leader.cancelled()


async def test_an_account_whose_slots_are_taken_delays_nobody_else() -> None:
    shared, slow, quick = SharedReads[str, int](InFlight(1)), Reads(), Reads()
    busy = [asyncio.create_task(ask(shared, slow, key, "greedy")) for key in ("one", "two", "three")]
    await until(lambda: slow.begun == 1, "it has one slot")
    quick.go_on.set()
    assert await asyncio.wait_for(ask(shared, quick, "three", "honest"), HANGS) == 1
    slow.go_on.set()
    await asyncio.gather(*busy)


async def test_a_refusal_is_for_the_account_that_asks_too_much_and_the_others_read_for_themselves() -> None:
    shared, reads = SharedReads[str, int](InFlight(4)), Reads()
    refused = asyncio.Event()

    async def refuse() -> int:
        await refused.wait()
        raise Overloaded

    async def flood() -> int:
        async with shared.reading("k", "flood", refuse) as value:
            return value

    running = asyncio.create_task(ask(shared, reads))
    await until(lambda: reads.begun == 1, "a read is running")
    first = asyncio.create_task(flood())
    await asyncio.sleep(0)
    other = asyncio.create_task(ask(shared, reads, account="other"))
    await asyncio.sleep(0)
    refused.set()
    reads.go_on.set()
    with pytest.raises(Overloaded):
        await first
    assert await other == 2
    assert await running == 1
