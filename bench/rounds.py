"""Several rounds in alternating order, and the median of them: a disturbance of one run does not decide."""

from collections.abc import Awaitable, Callable, Sequence
from statistics import median
from typing import TypeVar

T = TypeVar("T")
S = TypeVar("S")


async def alternate(
    subjects: Sequence[S], rounds: int, measure: Callable[[S], Awaitable[T]], progress: Callable[[str], None]
) -> list[list[T]]:
    """Measure each subject once a round, every other round backwards; return each subject's results."""
    results: list[list[T]] = [[] for _ in subjects]
    for number in range(rounds):
        order = range(len(subjects)) if number % 2 == 0 else reversed(range(len(subjects)))
        for index in order:
            results[index].append(await measure(subjects[index]))
            progress(f"round {number + 1} of {rounds}: {subjects[index]}")
    return results


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the ratios of each round: a slow spell of the machine slows both."""
    return median(mine / other for mine, other in zip(ours, theirs, strict=True))
