"""Charges an account for all that a coroutine does on the event loop, as long as each of its steps takes."""

from collections.abc import Coroutine, Generator
from time import perf_counter
from types import coroutine
from typing import Any, TypeVar

from services.common.fair_turns import FairTurns

T = TypeVar("T")


async def charged(turns: FairTurns, account: str, work: Coroutine[Any, Any, T]) -> T:
    """Return what the work returns. What a step of it takes the account pays, unless it was charged for it in the step.

    So it pays for what others wait for, too, but by later turns of its own: nobody else waits for those.
    """
    try:
        return await _charged(turns, account, work)
    finally:
        work.close()


@coroutine
def _charged(turns: FairTurns, account: str, work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    error: BaseException | None = None
    while True:
        began, charged_before = perf_counter(), turns.charged
        try:
            future = work.send(None) if error is None else work.throw(error)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            turns.charge(account, perf_counter() - began - (turns.charged - charged_before))
        try:
            yield future
            error = None
        except GeneratorExit:
            raise
        except BaseException as raised:  # noqa: BLE001 - the work's, of which it has to know
            error = raised
