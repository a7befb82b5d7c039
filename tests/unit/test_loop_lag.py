"""How late the event loop comes to a timer is seen, and whether that was work of its own."""

import asyncio
import time

from services.common.loop_lag import measuring_lag
from tests.waiting import until

HELD = 0.1
SEEN = HELD * 0.7  # the timer may just have been armed


def _work() -> None:
    end = time.thread_time() + HELD
    while time.thread_time() < end:
        pass


async def test_work_that_holds_the_loop_is_lag_and_work() -> None:
    seen: list[tuple[float, float]] = []
    with measuring_lag(lambda lag, work: seen.append((lag, work))):
        await asyncio.sleep(0)
        _work()
        await until(lambda: any(lag >= SEEN and work >= SEEN for lag, work in seen), "the work is seen")


async def test_time_in_which_the_loop_could_not_run_is_lag_and_no_work() -> None:
    seen: list[tuple[float, float]] = []
    with measuring_lag(lambda lag, work: seen.append((lag, work))):
        await asyncio.sleep(0)
        time.sleep(HELD)  # noqa: ASYNC251 - this block is measured
        await until(lambda: [work for lag, work in seen if lag >= SEEN], "the lag is seen")
    assert all(work < SEEN for _, work in seen)


async def test_nothing_is_measured_afterwards() -> None:
    seen: list[float] = []
    with measuring_lag(lambda lag, _: seen.append(lag)):
        await until(lambda: seen, "something is measured")
    count = len(seen)
    await asyncio.sleep(0.05)
    assert len(seen) == count
