"""Waits for conditions that send no event: polls until a deadline."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any, TypeVar, overload

T = TypeVar("T")


@asynccontextmanager
async def meanwhile(work: Coroutine[Any, Any, object]) -> AsyncIterator[None]:
    """Run a coroutine in the context, and cancel it at the end."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@overload
async def until(seen: Callable[[], Coroutine[Any, Any, T]], what: str, seconds: float = ...) -> T: ...
@overload
async def until(seen: Callable[[], T], what: str, seconds: float = ...) -> T: ...
async def until(seen: Callable[[], Any], what: str, seconds: float = 15.0) -> Any:
    """Return the first answer that is true; fail, naming ``what`` and the last answer, after so many seconds."""
    end = monotonic() + seconds
    while True:
        answer = seen()
        value = await answer if inspect.isawaitable(answer) else answer
        if value:
            return value
        if monotonic() > end:
            raise AssertionError(f"not within {seconds:.0f} s: {what}; the last answer was {value!r}")
        await asyncio.sleep(0.02)
