"""Logs once when a dependency fails and once when it recovers; paces the retries in between."""

import random

import structlog

from services.common.error_text import error_text

FIRST_PAUSE = 0.1
# Short, to notice a recovery at once; a service makes one connection at a time, so retries do not pile up.
LONGEST_PAUSE = 0.4


class DependencyHealth:
    """The state of one dependency. Retries back off exponentially with jitter, so that many services spread out."""

    def __init__(self, what: str, first_pause: float = FIRST_PAUSE, longest_pause: float = LONGEST_PAUSE) -> None:
        self.what = what
        self.error: str | None = "not reached yet"
        self._announced = False
        self.outages = 0
        self._log = structlog.get_logger(what)
        self._first_pause = first_pause
        self._longest_pause = longest_pause
        self._pause = first_pause

    @property
    def is_up(self) -> bool:
        """Return whether the dependency worked when it was last used."""
        return self.error is None

    def failed(self, error: BaseException | str) -> float:
        """Note a failure; return the seconds to wait before the next attempt."""
        if not self._announced:
            self._log.warning(f"{self.what} failed, retrying", error=error_text(error))
            self._announced = True
            self.outages += 1
        self.error = error_text(error)
        pause = self._pause
        self._pause = min(self._pause * 2, self._longest_pause)
        return pause * random.uniform(0.5, 1.0)

    def succeeded(self) -> None:
        """Note a success."""
        self.error = None
        if self._announced:
            self._announced = False
            self._pause = self._first_pause
            self._log.info(f"{self.what} works again")
