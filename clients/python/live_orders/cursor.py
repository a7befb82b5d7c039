"""The order of two cursors: positions in the stream of changes, which programs otherwise only store and send back."""

import re
from typing import NamedTuple, Self

_CURSOR = re.compile(r"(.+)\.([0-9]{1,20})-([0-9]{1,20})", re.ASCII | re.DOTALL)


class Cursor(NamedTuple):
    """A position: cursors are ordered within one epoch only."""

    epoch: str
    time: int
    ordinal: int

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """Return the cursor; None for a text that is none, as it is inside a snapshot."""
        parts = _CURSOR.fullmatch(text or "")
        return None if parts is None else cls(parts[1], int(parts[2]), int(parts[3]))

    def has_passed(self, other: "Cursor | None") -> bool:
        """Tell whether all changes up to the other are included here; of another epoch, nothing is known: False."""
        return other is not None and self.epoch == other.epoch and self[1:] >= other[1:]
