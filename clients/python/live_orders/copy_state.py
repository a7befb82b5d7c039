"""How far a copy of the orders can be trusted: its position, and the reasons why it may be old."""

from dataclasses import dataclass
from enum import StrEnum

from live_orders.cursor import Cursor


class Phase(StrEnum):
    """How far the copy can be trusted."""

    LOADING = "loading"  # there is no copy yet
    LIVE = "live"  # it is what the database was at `cursor`, and later changes come at once
    STALE = "stale"  # it was so; changes may be missing, and will come
    ENDED = "ended"  # there will be no more changes


@dataclass(frozen=True, slots=True)
class Status:
    """The phase of the copy, and why it is not live."""

    phase: Phase
    reason: str | None = None


class CopyState:
    """The part that is the same for every kind of copy."""

    def __init__(self) -> None:
        self.cursor: str | None = None
        self.is_loaded = False
        self._reasons: dict[str, str] = {}  # by who says so: "network", "server", "snapshot"
        self._ended: str | None = None

    @property
    def status(self) -> Status:
        """How far it can be trusted now."""
        if self._ended is not None:
            return Status(Phase.ENDED, self._ended)
        reason = next(iter(self._reasons.values()), None)
        if not self.is_loaded:
            return Status(Phase.LOADING, reason)
        return Status(Phase.LIVE) if reason is None else Status(Phase.STALE, reason)

    @property
    def position(self) -> Cursor | None:
        """The cursor, for comparing."""
        return Cursor.parse(self.cursor)

    def doubt(self, source: str, reason: str | None) -> None:
        """Note why the copy may be old, or that this source sees no reason any more."""
        self._reasons.pop(source, None)
        if reason is not None:
            self._reasons[source] = reason

    def end(self, reason: str) -> None:
        """Note that there will be no more changes."""
        self._ended = reason

    def loaded(self, cursor: str) -> None:
        """Note that the orders have been loaded, as of the cursor."""
        self.is_loaded = True
        self.cursor = cursor
        self.doubt("snapshot", None)
