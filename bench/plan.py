"""How much is measured: all of it, or the headlines."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """``rounds`` of each comparison; with ``quick`` only what the headline ratios need."""

    rounds: int
    quick: bool
    progress: Callable[[str], None]
