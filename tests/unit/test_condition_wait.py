"""An operation of the driver that is cancelled while it waits for MongoDB leaves no lock behind."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from pymongo._asyncio_lock import Condition, Lock
from pymongo.lock import _async_cond_wait

from services.mongodb.condition_wait import USERS, mend_waits, wait

Wait = Callable[[Any, float | None], Awaitable[bool]]


async def is_locked_for_good(wait: Wait, turns: int) -> bool:
    """Cancel an operation whose wait has timed out while another one holds the lock, for so many turns of the loop."""
    lock = Lock()
    condition = Condition(lock)

    async def operate() -> None:
        async with lock:
            await wait(condition, 0.01)

    operation = asyncio.create_task(operate())
    await asyncio.sleep(0)
    with suppress(RuntimeError):  # the driver's own way may release the lock of another
        async with lock:
            await asyncio.sleep(0.02)
            for _ in range(10):
                await asyncio.sleep(0)  # the wait has timed out, and wants the lock back
            operation.cancel()
            for _ in range(turns):
                await asyncio.sleep(0)
    await asyncio.wait({operation})
    for _ in range(10):
        await asyncio.sleep(0)
    return lock.locked()


async def test_a_cancelled_wait_gives_the_lock_back() -> None:
    assert [await is_locked_for_good(wait, turns) for turns in range(5)] == [False] * 5


async def test_a_wait_ends_when_it_is_notified_or_out_of_time() -> None:
    condition = Condition(Lock())
    async with condition:
        assert await wait(condition, 0.01) is False
        asyncio.get_running_loop().call_soon(asyncio.ensure_future, _notify(condition))
        assert await wait(condition, 5) is True
    assert not condition.locked()


async def _notify(condition: Condition) -> None:
    async with condition:
        condition.notify_all()


def test_the_driver_waits_like_this_where_its_own_way_is_not_safe() -> None:
    mend_waits()
    safe = asyncio.run(_drivers_own_is_safe())
    for module in USERS:
        assert (module._async_cond_wait is wait) is not safe


async def _drivers_own_is_safe() -> bool:
    return not any([await is_locked_for_good(_async_cond_wait, turns) for turns in range(5)])
