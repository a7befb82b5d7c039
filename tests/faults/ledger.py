"""What the writers did, and what they were told about it."""

from dataclasses import dataclass, field
from enum import Enum


class Outcome(Enum):
    """What a writer was told."""

    DONE = "done"  # acknowledged: it must be in the history
    REFUSED = "refused"  # told that nothing was written: it must not be
    UNKNOWN = "unknown"  # no answer, or one that leaves it open: the history decides


@dataclass(slots=True)
class Ledger:
    """All writes of an audit: those with an order by their stamp, deletions by the order's id."""

    stamps: dict[int, Outcome] = field(default_factory=dict)
    deletions: dict[str, Outcome] = field(default_factory=dict)
    _last: int = 0

    @property
    def last(self) -> int:
        """The stamp of the write that was begun last."""
        return self._last

    def next_stamp(self) -> int:
        """Return the stamp of a write that begins now; until more is known its outcome is unknown."""
        self._last += 1
        self.stamps[self._last] = Outcome.UNKNOWN
        return self._last

    def settle(self, stamps: list[int], outcome: Outcome) -> None:
        """Note what the writer was told about these writes."""
        self.stamps.update(dict.fromkeys(stamps, outcome))

    def count(self, outcome: Outcome) -> int:
        """Return how many writes were answered so."""
        return sum(one is outcome for one in (*self.stamps.values(), *self.deletions.values()))
