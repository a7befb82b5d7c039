"""What a test may wait for, and how long something may take."""

import asyncio
import time

import pytest

from tests import waiting
from tests.waiting import cancel_all, until, within


async def test_what_takes_longer_fails() -> None:
    with pytest.raises(AssertionError, match=r"it took 0\.[3-9]"):
        async with within(0.1):
            await asyncio.sleep(0.3)


async def test_what_hangs_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "HANGS", 0.1)
    with pytest.raises(TimeoutError):
        async with within(0.1):
            await asyncio.Event().wait()


async def test_time_in_which_nothing_could_run_does_not_count() -> None:
    async with within(0.1):
        await asyncio.sleep(0.02)
        time.sleep(0.3)  # noqa: ASYNC251  # as if others had the processor


async def test_nor_does_it_count_for_what_is_awaited() -> None:
    looks = 0

    def seen() -> bool:
        nonlocal looks
        looks += 1
        asyncio.get_running_loop().call_soon(time.sleep, 0.1)
        return looks == 5

    await until(seen, "the fifth look", 0.2)
    with pytest.raises(AssertionError, match="not within 0 s: never"):
        await until(lambda: False, "never", 0.2)


async def test_a_task_that_ignores_its_cancellation_is_cancelled_again() -> None:
    ignored = 0

    async def work() -> None:
        nonlocal ignored
        while ignored < 1:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                ignored += 1
        await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    assert await cancel_all(task) == []
    assert task.cancelled()
    assert ignored == 1
