"""Queues one account's work for FairTurns."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context

# An account gets so many turns for work already begun before its next new request gets one. Without a limit a new
# request would wait until long work has ended; without precedence, work would wait behind all that came after it.
STEPS_FIRST = 4

Act = tuple[Callable[[], None], asyncio.Transport | None, Context, float]
"""What to do, whose connection to abort where it fails, in which context, and since when it waits."""


class AccountQueue:
    """The work of one account that waits for turns."""

    __slots__ = ("_begun", "_new", "_steps")

    def __init__(self) -> None:
        self._new: deque[Act] = deque()
        self._begun: deque[Act] = deque()
        self._steps = 0  # since something new had a turn

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._new or self._begun)

    def append(self, act: Act, *, begun: bool) -> None:
        """Let it wait among the steps of what has begun, or with what is new."""
        (self._begun if begun else self._new).append(act)

    def popleft(self) -> Act:
        """Return whose turn it is; something must wait."""
        if self._begun and not (self._new and self._steps >= STEPS_FIRST):
            self._steps += 1
            return self._begun.popleft()
        self._steps = 0
        return self._new.popleft()

    @property
    def oldest(self) -> Act | None:
        """What has waited longest of what is new."""
        return self._new[0] if self._new else None
