"""Elects one watcher: waits for the lease, then keeps it by renewing it in time."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

import structlog

from services.common.dependency_health import DependencyHealth
from services.common.tasks import raise_if_cancelled
from services.watcher.state import LeaseLost, StateUnavailable, StreamState

POLL_SECONDS = 0.1  # between two checks whether the lease is free

log = structlog.get_logger("lease")


async def acquire(
    state: StreamState, health: DependencyHealth, while_waiting: Callable[[], Awaitable[None]], above: int = 0
) -> int:
    """Wait for the lease, calling ``while_waiting`` between attempts; return its term, which is above ``above``."""
    waiting = False
    while True:
        raise_if_cancelled()
        try:
            term = await state.acquire(above)
        except StateUnavailable as error:
            await asyncio.sleep(health.failed(error))
            continue
        health.succeeded()
        if term is not None:
            log.info("This watcher leads", term=term)
            return term
        if not waiting and state.holder is not None:
            log.info(
                "Another watcher's lease has not expired, standing by to take over when it does", owner=state.holder
            )
            waiting = True
        await while_waiting()
        await asyncio.sleep(POLL_SECONDS)


async def hold(state: StreamState, term: int, seconds: float) -> None:
    """Renew the lease until cancelled; raise LeaseLost when another watcher has it, or soon may.

    The remaining third of the lease is left for the batch in flight to Redis.
    """
    renewed = monotonic()
    while True:
        raise_if_cancelled()
        await asyncio.sleep(seconds / 3)
        asked = monotonic()
        try:
            async with asyncio.timeout(max(0.1, renewed + seconds * 2 / 3 - asked)):
                await state.renew(term)
        except (StateUnavailable, TimeoutError) as error:
            if monotonic() - renewed >= seconds * 2 / 3:
                raise LeaseLost("the lease could not be renewed in time") from error
        else:
            renewed = asked
