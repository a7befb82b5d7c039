"""The result of a measure: a table, its targets, its charts."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One target. ``reached`` must be at most ``limit``; with ``at_least``, at least."""

    measure: str
    target: str
    reached: float
    limit: float
    at_least: bool = False
    unit: str = "×"

    @property
    def met(self) -> bool:
        return self.reached >= self.limit if self.at_least else self.reached <= self.limit


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Lines over a common axis; both axes are logarithmic."""

    name: str
    title: str
    x: str
    y: str
    lines: Sequence[tuple[str, Sequence[tuple[float, float]]]]


@dataclass(frozen=True, kw_only=True)
class Section:
    """The result of one measure. ``notes`` are paragraphs that say how it was measured."""

    title: str
    notes: Sequence[str] = ()
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    verdicts: Sequence[Verdict] = ()
    charts: Sequence[Chart] = field(default_factory=tuple)
