"""Lets a log line pass once, then none for a while, and says how many it has held back."""

from time import monotonic

QUIET_SECONDS = 60.0


class LogThrottle:
    """One kind of line that clients can cause as often as they like."""

    def __init__(self) -> None:
        self._quiet_until = float("-inf")
        self._held_back = 0

    def passes(self) -> int | None:
        """Return how many were held back since the last line; None where this one is to be held back as well."""
        now = monotonic()
        if now < self._quiet_until:
            self._held_back += 1
            return None
        held_back, self._held_back = self._held_back, 0
        self._quiet_until = now + QUIET_SECONDS
        return held_back
