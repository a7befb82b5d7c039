"""Tells whether several accounts ask for something at the moment, or only one."""

import math
from collections.abc import Callable

CONTENDED_SECONDS = 1.0  # after two accounts have asked, one after the other


class Contention:
    """Remembers the account that asked last, and until when another one counts as asking, too."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last: str | None = None
        self._until = -math.inf

    def note(self, account: str) -> None:
        """Note that an account asks."""
        if account != self._last:
            if self._last is not None:
                self._until = self._clock() + CONTENDED_SECONDS
            self._last = account

    @property
    def is_present(self) -> bool:
        """Whether more than one account has asked lately."""
        return self._clock() < self._until
