"""Waits for conditions that send no event, and says how long something may take on a machine that is busy."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, TypeVar, overload

T = TypeVar("T")
# Seconds. What has not come by then hangs: no machine is so busy, and it is less than pytest's own limit for a test.
HANGS = 60.0
_NAP, _LONGEST_NAP = 0.02, 0.1
_PUNCTUAL = 0.002  # later is late; a quiet machine wakes us sooner


async def cancel_all(*tasks: asyncio.Task[Any]) -> list[BaseException]:
    """Cancel the tasks until they have ended, and return their errors.

    Once may be too little: on Python 3.11, asyncio.wait_for ignores a cancellation that comes together with the result.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=1)
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    return [end for end in ends if isinstance(end, BaseException) and not isinstance(end, asyncio.CancelledError)]


@asynccontextmanager
async def meanwhile(work: Coroutine[Any, Any, object]) -> AsyncIterator[None]:
    """Run a coroutine in the context, and cancel it at the end."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        for error in await cancel_all(task):
            raise error


@asynccontextmanager
async def patient_clock() -> AsyncIterator[Callable[[], float]]:
    """Yield a clock, in seconds, that stands still while a busy machine lets us wait.

    That is how late we wake from short sleeps; the services, which we wait for, get their turn no sooner.
    """
    late, napping = 0.0, monotonic()

    async def nap() -> None:
        nonlocal late, napping
        while True:
            napping = monotonic()
            await asyncio.sleep(_NAP)
            late += _lateness(napping, _NAP)

    async with meanwhile(nap()):
        yield lambda: monotonic() - late - _lateness(napping, _NAP)


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """Fail if what is in the context takes longer by the patient clock.

    It is not cut off, unless it hangs: pytest's own limit does not end what waits in uvloop, which logs the failure.
    """
    async with patient_clock() as clock, asyncio.timeout(seconds + HANGS):
        began, began_on_the_wall = clock(), monotonic()
        yield
        took, in_all = clock() - began, monotonic() - began_on_the_wall
    assert took <= seconds, f"it took {in_all:.2f} s, of which the machine was busy for {in_all - took:.2f} s"


@overload
async def until(seen: Callable[[], Coroutine[Any, Any, T]], what: str, seconds: float = ...) -> T: ...
@overload
async def until(seen: Callable[[], T], what: str, seconds: float = ...) -> T: ...
async def until(seen: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    """Return the first answer that is true; fail, naming ``what`` and the last answer, after so many seconds.

    As in `within`, those do not count for which a busy machine lets us wait between two looks.
    """
    end = monotonic() + seconds
    nap = _NAP
    while True:
        answer = seen()
        value = await answer if inspect.isawaitable(answer) else answer
        if value:
            return value
        if monotonic() > end:
            raise AssertionError(f"not within {seconds:.0f} s: {what}; the last answer was {value!r}")
        napping = monotonic()
        await asyncio.sleep(nap)
        end += _lateness(napping, nap)
        nap = min(nap * 1.02, _LONGEST_NAP)  # to look costs the machine something, too


def _lateness(napping: float, nap: float) -> float:
    """Return how much too late we wake from such a nap that began then, in seconds."""
    return max(0.0, monotonic() - napping - nap - _PUNCTUAL)
