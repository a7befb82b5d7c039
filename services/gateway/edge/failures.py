"""Counts and logs errors of ours that clients had to pay for."""

from time import monotonic

import structlog

from services.gateway.edge.limits import Count, Incident

QUIET_SECONDS = 60.0


class Failures:
    """Counts each, and logs the first with its traceback; then nothing for a while.

    What fails for one client may fail for thousands, at every event or as often as a client likes: to write as many
    tracebacks would keep the loop busy for longer than all that they tell of.
    """

    def __init__(self, what: str, count: Count) -> None:
        self._what = what
        self._count = count
        self._log = structlog.get_logger("clients")
        self._quiet_until = float("-inf")
        self._unlogged = 0

    def note(self, error: Exception) -> None:
        """Note one."""
        self._count(Incident.APPLICATION_ERROR)
        now = monotonic()
        if now < self._quiet_until:
            self._unlogged += 1
            return
        self._log.error(self._what, unlogged_before=self._unlogged, exc_info=error)
        self._quiet_until, self._unlogged = now + QUIET_SECONDS, 0
