"""Counts and logs our own errors that cost clients their connection or request."""

from time import monotonic

import structlog

from services.gateway.edge.limits import Count, Incident

QUIET_SECONDS = 60.0


class Failures:
    """Counts every error, and logs the first with its traceback, then nothing for a while.

    An error for one client may repeat for thousands, at every event or as often as a client likes: logging all those
    tracebacks would block the event loop for longer than the errors themselves.
    """

    def __init__(self, what: str, count: Count) -> None:
        self._what = what
        self._count = count
        self._log = structlog.get_logger("clients")
        self._quiet_until = float("-inf")
        self._unlogged = 0

    def note(self, error: Exception) -> None:
        """Record one error."""
        self._count(Incident.APPLICATION_ERROR)
        now = monotonic()
        if now < self._quiet_until:
            self._unlogged += 1
            return
        self._log.error(self._what, unlogged_before=self._unlogged, exc_info=error)
        self._quiet_until, self._unlogged = now + QUIET_SECONDS, 0
