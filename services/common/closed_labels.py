"""A metric whose labels have known values only: each exists from the start, and no other can be used.

A series that is born with its first event is born as 1, so that Prometheus sees no increase and no alert fires.
"""

from collections.abc import Iterable
from itertools import chain, product
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

Labelled = TypeVar("Labelled", Counter, Histogram)
Values = tuple[str, ...]


class ClosedLabels(Collector, Generic[Labelled]):
    """The series of ``metric`` for each of ``combinations``, whose values are in the order of the metric's ``labels``.

    It is exported in place of the metric, which is in no registry. Samples are read again only of series that were used
    since: most series never are, and reading them all was most of the cost of a scrape.
    """

    def __init__(
        self, registry: CollectorRegistry, metric: Labelled, labels: Values, combinations: Iterable[Values]
    ) -> None:
        self._labels = labels
        self._series: dict[Values, Labelled] = {values: metric.labels(*map(str, values)) for values in combinations}
        [self._family] = metric.describe()
        self._samples: dict[Values, list[Sample]] = {}
        self._used = set(self._series)
        registry.register(self)

    @classmethod
    def of(cls, registry: CollectorRegistry, metric: Labelled, **labels: Iterable[str]) -> "ClosedLabels[Labelled]":
        """Return the series for all combinations of these labels' values, usually one enum for each label."""
        return cls(registry, metric, tuple(labels), product(*labels.values()))

    def __getitem__(self, values: Values) -> Labelled:
        """Return the series of these values, to be used at once; raise KeyError where there is none."""
        series: Labelled = self._series[values]
        self._used.add(values)
        return series

    def __contains__(self, values: Values) -> bool:
        return values in self._series

    def collect(self) -> Iterable[Metric]:
        """Return the current figures."""
        for values in self._used:
            self._samples[values] = list(self._read(values))
        self._used.clear()
        family = Metric(self._family.name, self._family.documentation, self._family.type)
        family.samples = list(chain.from_iterable(self._samples[values] for values in self._series))
        return (family,)

    def _read(self, values: Values) -> Iterable[Sample]:
        own = dict(zip(self._labels, map(str, values), strict=True))
        for family in self._series[values].collect():
            for sample in family.samples:
                yield sample._replace(labels={**own, **sample.labels})
