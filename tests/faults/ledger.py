"""The writes of an audit, and their outcomes as reported to the writers."""

from dataclasses import dataclass, field
from enum import Enum


class Outcome(Enum):
    """A write's outcome, as reported to the writer."""

    DONE = "done"  # acknowledged: it must be in the history
    REFUSED = "refused"  # the answer was that nothing was written: it must not be there
    UNKNOWN = "unknown"  # no answer, or one that leaves it open: the history decides


@dataclass(slots=True)
class Ledger:
    """All writes of an audit: those with an order by their stamp, deletions by the order's id."""

    stamps: dict[int, Outcome] = field(default_factory=dict)
    deletions: dict[str, Outcome] = field(default_factory=dict)
    _last: int = 0

    @property
    def last(self) -> int:
        """The stamp of the write that began last."""
        return self._last

    def next_stamp(self) -> int:
        """Return the stamp of a write that begins now; until more is known its outcome is unknown."""
        self._last += 1
        self.stamps[self._last] = Outcome.UNKNOWN
        return self._last

    def settle(self, stamps: list[int], outcome: Outcome) -> None:
        """Note the outcome that the writer got for these writes."""
        self.stamps.update(dict.fromkeys(stamps, outcome))

    def count(self, outcome: Outcome) -> int:
        """Return how many writes had this outcome."""
        return sum(one is outcome for one in (*self.stamps.values(), *self.deletions.values()))
