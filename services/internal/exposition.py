"""Renders metrics as text in slices, so that a scrape never holds the event loop for long."""

import asyncio
from collections.abc import Iterable
from time import monotonic

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

SLICE_SECONDS = 0.001


class _Family(Collector):
    """A single family, as `generate_latest` takes it."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        return (self._family,)


class _Slice:
    """The part of the work since the loop last did something else."""

    def __init__(self) -> None:
        self._began = monotonic()

    async def end(self) -> None:
        """Let the loop do something else, if this one has lasted."""
        if monotonic() - self._began > SLICE_SECONDS:
            await asyncio.sleep(0)
            self._began = monotonic()


async def exposition(registry: CollectorRegistry) -> bytes:
    """Return what `generate_latest` returns; the figures of each family are read when it is its turn."""
    parts: list[bytes] = []
    work = _Slice()
    for family in registry.collect():
        await work.end()
        parts.append(generate_latest(_Family(family)))
        await work.end()
    return b"".join(parts)
