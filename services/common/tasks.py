"""Runs work that belongs together: when one part ends, so do the others."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def run_until_first_exits(*works: Coroutine[Any, Any, None]) -> None:
    """Run all until the first ends, and raise what it raised; whatever happens, none is left running."""
    tasks = {asyncio.create_task(work) for work in works}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def raise_if_cancelled() -> None:
    """Raise CancelledError where this task was cancelled, but its last ``await`` did not say so.

    Before Python 3.12, ``asyncio.wait_for``, by which the drivers of MongoDB and Redis send each command, may return a
    result that came at the same moment instead. A loop of such commands would go on for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
