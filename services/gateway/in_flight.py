"""Bounds the operations in flight per account; excess ones wait without delaying other accounts."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from time import monotonic
from typing import NamedTuple


class Patience(NamedTuple):
    """How long an operation waits, in seconds, and the error where it would be longer.

    Once the first of an account has waited for ``full``, the next of it are turned away at once.
    """

    wait: float
    full: float
    refusal: Callable[[], Exception]

    def check(self, first: float) -> None:
        """Raise the refusal where the first one of an account has waited for too long, since ``first``."""
        if self.is_over(first):
            raise self.refusal()

    def is_over(self, first: float) -> bool:
        """Tell whether it would be raised."""
        return monotonic() - first > self.full


_ENDLESS = Patience(math.inf, math.inf, TimeoutError)


class _Slots:
    __slots__ = ("semaphore", "users", "waiting")

    def __init__(self, limit: int) -> None:
        self.semaphore = asyncio.Semaphore(limit)
        self.users = 0  # in flight or waiting
        self.waiting: dict[int, float] = {}  # since when, the first one first


class InFlight:
    """At most ``limit`` at once for each account; idle accounts are forgotten."""

    def __init__(self, limit: int, patience: Patience = _ENDLESS) -> None:
        self._limit = limit
        self._patience = patience
        self._slots: dict[str, _Slots] = {}
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._slots)

    @asynccontextmanager
    async def slot(self, account: str) -> AsyncIterator[None]:
        """Hold one of the account's slots, granted in order of arrival; raise the refusal after too long."""
        slots = self._slots.get(account)
        if slots is None:
            slots = self._slots[account] = _Slots(self._limit)
        slots.users += 1
        try:
            if slots.semaphore.locked():
                await self._wait(slots)
            else:
                await slots.semaphore.acquire()
            try:
                yield
            finally:
                slots.semaphore.release()
        finally:
            slots.users -= 1
            if not slots.users:
                del self._slots[account]

    async def _wait(self, slots: _Slots) -> None:
        patience, number = self._patience, next(self._numbers)
        if slots.waiting:
            patience.check(next(iter(slots.waiting.values())))
        slots.waiting[number] = monotonic()
        waiting = asyncio.timeout(None if patience.wait == math.inf else patience.wait)
        try:
            async with waiting:
                await slots.semaphore.acquire()
        except TimeoutError:
            if not waiting.expired():
                raise
            raise patience.refusal() from None
        finally:
            del slots.waiting[number]
