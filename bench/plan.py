"""How much is measured: all of it, or the headlines."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """``rounds`` of each comparison; with ``quick`` only what the headline ratios need.

    ``more_rounds`` are for measures that differ more between two starts of one server than between servers.
    """

    rounds: int
    quick: bool
    progress: Callable[[str], None]

    @property
    def more_rounds(self) -> int:
        return self.rounds if self.quick else 2 * self.rounds + 1
