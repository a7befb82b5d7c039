"""Counts how long each account keeps something busy that all share, against a budget that comes back with time."""

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

_KEPT = 1000  # accounts; beyond, those whose budget is whole again are forgotten


class TimeBudget:
    """So many seconds of work at once for each account, of which this share of a second comes back each second.

    Nobody waits for more than ``longest_wait``, so that every request gets somewhere on a busy machine, too.
    """

    def __init__(
        self, seconds: float, share: float, longest_wait: float = math.inf, clock: Callable[[], float] = monotonic
    ) -> None:
        self._seconds = seconds
        self._share = share
        self._longest_wait = longest_wait
        self._clock = clock
        self._whole_at: dict[str, float] = {}  # when all of an account's budget will have come back

    def __len__(self) -> int:
        """How many accounts are kept, also some whose budget is whole again."""
        return len(self._whole_at)

    def is_spent(self, account: str) -> bool:
        """Tell whether the account has worked for longer than its budget allows."""
        return self.wait_of(account) > 0.0

    def wait_of(self, account: str) -> float:
        """Return the seconds until the account may work again. Work that has begun may overdraw the budget."""
        wait = self._whole_at.get(account, 0.0) - self._clock() - self._seconds / self._share
        return min(max(0.0, wait), self._longest_wait)

    async def available(self, account: str) -> None:
        """Return once the account may work again."""
        await asyncio.sleep(self.wait_of(account))

    def spend(self, account: str, seconds: float) -> None:
        """Charge the account for work that was done."""
        now = self._clock()
        if len(self._whole_at) >= _KEPT:
            self._whole_at = {each: at for each, at in self._whole_at.items() if at > now}
        self._whole_at[account] = max(now, self._whole_at.get(account, now)) + seconds / self._share

    @contextmanager
    def spending(self, account: str) -> Iterator[None]:
        """Charge the account for the time within."""
        began = self._clock()
        try:
            yield
        finally:
            self.spend(account, self._clock() - began)
