"""Mends how PyMongo waits for its conditions before Python 3.12, where a cancellation could lock it up for good.

Its `wait_for` waits in a task of its own. Where an operation is cancelled just after such a wait has timed out, and
others hold the lock, that task is left behind: it takes the lock when it is its turn, and never gives it back. Then
every operation of the client hangs, for ever; that happened to gateways while MongoDB was down. Checked against PyMongo
4.20.
"""

import asyncio
import sys
from typing import Any

from pymongo.asynchronous import pool, topology

USERS = (pool, topology)  # all that wait


async def wait(condition: Any, seconds: float | None) -> bool:
    """Wait in the caller's own task for a condition whose lock it holds; return False after so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            notified: bool = await condition.wait()
            return notified
    except TimeoutError:
        return False


def mend_waits() -> None:
    """Let the driver wait like this, where its own way is not safe; idempotent."""
    if sys.version_info < (3, 12):
        pool._async_cond_wait = wait  # type: ignore[assignment, attr-defined]  # noqa: SLF001
        topology._async_cond_wait = wait  # type: ignore[assignment, attr-defined]  # noqa: SLF001
