"""Lets the event loop do other things while a long piece of work is done step by step."""

import asyncio
from time import perf_counter

STEP_SECONDS = 0.004  # of work between two turns of the loop


class Pace:
    """Ask `is_due` after each step; where it is, await `pause`."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until = perf_counter() + STEP_SECONDS

    @property
    def is_due(self) -> bool:
        """Whether the work has lasted long enough."""
        return perf_counter() > self._until

    async def pause(self) -> None:
        """Let everybody else have a turn."""
        await asyncio.sleep(0)
        self._until = perf_counter() + STEP_SECONDS
