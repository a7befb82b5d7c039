"""Bounds how long each account may keep MongoDB busy with searches; what is beyond that waits."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

_KEPT = 1000  # accounts; beyond, those whose budget is whole again are forgotten


class TimeBudget:
    """So many seconds of work at once for each account, of which this share of a second comes back each second.

    Nobody waits for more than ``longest_wait``, so that every request gets somewhere on a busy machine, too.
    """

    def __init__(self, seconds: float, share: float, longest_wait: float) -> None:
        self._seconds = seconds
        self._share = share
        self._longest_wait = longest_wait
        self._whole_at: dict[str, float] = {}  # when all of an account's budget will have come back

    def __len__(self) -> int:
        """How many accounts are kept, also some whose budget is whole again."""
        return len(self._whole_at)

    def wait_of(self, account: str) -> float:
        """Return the seconds until the account may work again. Work that has begun may overdraw the budget."""
        wait = self._whole_at.get(account, 0.0) - monotonic() - self._seconds / self._share
        return min(max(0.0, wait), self._longest_wait)

    async def available(self, account: str) -> None:
        """Return once the account may work again."""
        await asyncio.sleep(self.wait_of(account))

    @contextmanager
    def spending(self, account: str) -> Iterator[None]:
        """Charge the account for the time within."""
        began = monotonic()
        try:
            yield
        finally:
            now = monotonic()
            if len(self._whole_at) >= _KEPT:
                self._whole_at = {each: at for each, at in self._whole_at.items() if at > now}
            self._whole_at[account] = max(now, self._whole_at.get(account, now)) + (now - began) / self._share
