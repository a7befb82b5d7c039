"""Caches how far back the oplog goes, so that returning clients do not each cost MongoDB a query."""

from collections.abc import Callable
from time import monotonic

from services.common.cursor import Position

HELD_SECONDS = 5.0  # the oplog's end moves on
LOST_SECONDS = 60.0  # it never moves back, but another member of the set may have a longer one


class OplogReach:
    """If a position is held, so are all younger ones; if it is lost, so are all older ones."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._held: tuple[Position, float] | None = None
        self._lost: tuple[Position, float] | None = None
        self._noted_at = float("-inf")

    def of(self, position: Position) -> bool | None:
        """Tell whether the oplog holds everything after ``position``; None where that is unknown."""
        held, lost, now = self._held, self._lost, self._now()
        if lost is not None and position <= lost[0] and now < lost[1] + LOST_SECONDS:
            return False
        if held is not None and position >= held[0] and now < held[1] + HELD_SECONDS:
            return True
        return None

    def note(self, position: Position, *, reached: bool) -> None:
        """Record a result; of several valid ones, keep the one that implies the others."""
        self._noted_at = now = self._now()
        if reached:
            if self._lost is not None and position <= self._lost[0]:
                self._lost = None
            if self.of(position) is None:
                self._held = position, now
        else:
            if self._held is not None and position >= self._held[0]:
                self._held = None
            if self.of(position) is None:
                self._lost = position, now

    def pause_before_asking(self, pause: float) -> float:
        """Return how long to wait until ``pause`` has passed since the last result."""
        return max(0.0, self._noted_at + pause - self._now())
