"""Ends a stream together with the token that opened it."""

import asyncio
from collections.abc import Callable
from time import time

WARN_SECONDS = 60.0  # before the end, so that the client can renew its token
_LONGEST_WAIT = 3600.0  # then the clock is read again: it may have been set, and the machine may have slept


class Lifetime:
    """Calls ``warn`` a minute before ``expires_at`` (at once where less remains), and ``end`` then.

    ``expires_at`` is in seconds since 1970; with None nothing is ever called.
    """

    __slots__ = ("_end", "_expires_at", "_timer", "_warn", "_warned")

    def __init__(self, expires_at: float | None, warn: Callable[[float], None], end: Callable[[], None]) -> None:
        self._warn = warn
        self._end = end
        self._timer: asyncio.TimerHandle | None = None
        self.renew(expires_at)

    def renew(self, expires_at: float | None) -> None:
        """Live until another time from now on."""
        self.cancel()
        self._expires_at = expires_at
        self._warned = False
        if expires_at is not None:
            self._schedule(expires_at)

    def cancel(self) -> None:
        """Call nothing any more; idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self, expires_at: float) -> None:
        due = expires_at if self._warned else expires_at - WARN_SECONDS
        wait = min(max(0.0, due - time()), _LONGEST_WAIT)
        self._timer = asyncio.get_running_loop().call_later(wait, self._wake, expires_at)

    def _wake(self, expires_at: float) -> None:
        self._timer = None
        now = time()
        if now >= expires_at:
            self._end()
            return
        if not self._warned and now >= expires_at - WARN_SECONDS:
            self._warned = True
            self._schedule(expires_at)
            self._warn(expires_at)
            return
        self._schedule(expires_at)
