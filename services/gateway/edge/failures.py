"""Counts and logs our own errors that cost clients their connection or request."""

import structlog

from services.gateway.edge.incidents import Count, IncidentKind
from services.gateway.edge.log_throttle import LogThrottle


class Failures:
    """Counts every error, and logs the first with its traceback, then nothing for a while.

    An error for one client may repeat for thousands, at every event or as often as a client likes: logging all those
    tracebacks would block the event loop for longer than the errors themselves.
    """

    def __init__(self, what: str, count: Count) -> None:
        self._what = what
        self._count = count
        self._log = structlog.get_logger("clients")
        self._throttle = LogThrottle()

    def note(self, error: Exception) -> None:
        """Record one error."""
        self._count(IncidentKind.APPLICATION_ERROR)
        unlogged = self._throttle.passes()
        if unlogged is not None:
            self._log.error(self._what, unlogged_before=unlogged, exc_info=error)
