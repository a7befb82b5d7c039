"""A metric whose labels have known values only: each exists from the start, and no other can be used.

A series that is born with its first event is born as 1, so that Prometheus sees no increase and no alert fires.
"""

from collections.abc import Iterable
from itertools import product
from typing import Generic, TypeVar

from prometheus_client import Counter, Histogram

Labelled = TypeVar("Labelled", Counter, Histogram)


class ClosedLabels(Generic[Labelled]):
    """The series of ``metric`` for each of ``combinations``, whose values are in the order of the metric's labels."""

    def __init__(self, metric: Labelled, combinations: Iterable[tuple[str, ...]]) -> None:
        self._series: dict[tuple[str, ...], Labelled] = {
            values: metric.labels(*map(str, values)) for values in combinations
        }

    @classmethod
    def of(cls, metric: Labelled, *labels: Iterable[str]) -> "ClosedLabels[Labelled]":
        """Return the series for all combinations of these labels' values, usually one enum for each label."""
        return cls(metric, product(*labels))

    def __getitem__(self, values: tuple[str, ...]) -> Labelled:
        """Return the series of these values; raise KeyError where there is none."""
        series: Labelled = self._series[values]
        return series

    def __contains__(self, values: tuple[str, ...]) -> bool:
        return values in self._series
