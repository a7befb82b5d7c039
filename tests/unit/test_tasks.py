"""The one rule for tasks: none of them dies quietly."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import pytest

from services.common.tasks import TaskEnded, Tasks
from tests.waiting import HANGS


class Expected(Exception):
    """One that the caller wants as it is."""


async def wait() -> None:
    await asyncio.Event().wait()


async def fail(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


async def end() -> None:
    await asyncio.sleep(0)


async def keep(name: str, work: Coroutine[Any, Any, None], *expected: type[Exception]) -> None:
    async with asyncio.timeout(HANGS), Tasks(*expected) as tasks:
        tasks.keep(name, work)
        await tasks.forever()


async def spawn(name: str, work: Coroutine[Any, Any, None]) -> None:
    async with asyncio.timeout(HANGS), Tasks() as tasks:
        tasks.spawn(name, work)
        await tasks.forever()


async def test_a_kept_task_that_returns_ends_the_group_and_is_named() -> None:
    with pytest.raises(TaskEnded, match="'heartbeats' has ended: it returned"):
        await keep("heartbeats", end())


async def test_a_kept_task_that_fails_ends_the_group_with_its_error_as_the_cause() -> None:
    with pytest.raises(TaskEnded, match="'marks' has ended: ValueError: odd") as caught:
        await keep("marks", fail(ValueError("odd")))
    assert isinstance(caught.value.__cause__, ValueError)


async def test_an_unrequested_cancellation_is_an_end_like_any_other() -> None:
    with pytest.raises(TaskEnded, match="'marks' has ended: CancelledError"):
        await keep("marks", fail(asyncio.CancelledError()))


async def test_a_task_that_ends_while_a_driver_swallows_the_cancellation_ends_the_group_all_the_same() -> None:
    """As in a service that is still connecting to its databases."""

    async def start() -> None:
        async with Tasks() as tasks:
            tasks.keep("heartbeats", end())
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            await tasks.forever()

    async with asyncio.timeout(HANGS) as limit:
        with pytest.raises(TaskEnded, match="'heartbeats' has ended: it returned"):
            await start()
    assert not limit.expired()


async def test_an_expected_error_is_raised_as_it_is() -> None:
    with pytest.raises(Expected):
        await keep("lease", fail(Expected()), Expected)


async def test_an_error_of_the_body_is_raised_as_it_is() -> None:
    async def body() -> None:
        async with Tasks() as tasks:
            tasks.keep("waiting", wait())
            raise OSError("port taken")

    with pytest.raises(OSError, match="port taken"):
        await body()


async def test_the_body_is_told_at_its_end_that_a_task_has_failed() -> None:
    told = asyncio.Event()

    async def body() -> None:
        async with Tasks() as tasks:
            tasks.keep("heartbeats", end())
            try:
                await tasks.forever()
            finally:
                assert tasks.has_failed
                told.set()

    with pytest.raises(TaskEnded):
        await body()
    assert told.is_set()


async def test_leaving_the_group_cancels_tasks_that_run_or_have_not_begun() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await wait()
        finally:
            ended.set()

    async with Tasks() as tasks:
        tasks.keep("running", work())
        await asyncio.sleep(0)
        tasks.keep("not begun", wait())
    assert ended.is_set()
    tasks.keep("too late", wait())  # nor is anything left that warns of never having been awaited


async def test_a_cancelled_group_ends_after_the_cleanup_of_its_body() -> None:
    order: list[str] = []

    async def feed() -> None:
        try:
            await wait()
        finally:
            order.append("feed")

    async def service() -> None:
        async with Tasks() as tasks:
            tasks.keep("feed", feed())
            try:
                await tasks.forever()
            finally:
                await asyncio.sleep(0.01)
                order.append("drained")

    running = asyncio.ensure_future(service())
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert order == ["drained", "feed"]


async def test_a_spawned_task_may_end() -> None:
    async with Tasks() as tasks:
        tasks.spawn("for one client", end())
        await asyncio.sleep(0.01)
        assert not tasks.has_failed


async def test_a_spawned_task_that_fails_ends_the_group() -> None:
    with pytest.raises(TaskEnded, match="'reading history'"):
        await spawn("reading history", fail(ValueError("odd")))
