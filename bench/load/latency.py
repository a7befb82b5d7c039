"""Computes each delivery's latency from the time of the write's acknowledgement and that of its bytes' arrival."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from bench.load.reference import Reference

Write = tuple[int, int]  # the writer and its number


def latencies(reference: Reference, acknowledged: Mapping[Write, float]) -> list[float]:
    """Return the seconds of every delivery to every client of the group, sorted.

    An arrival that takes a client from one position to another delivers the events that end in between.
    """
    positions = reference.positions()
    order = sorted(positions, key=positions.__getitem__)
    ends = [positions[write] for write in order]
    waits: list[float] = []
    data = reference.arrivals
    for index in range(0, len(data), 3):
        start, end, when = data[index], data[index + 1], data[index + 2]
        brought = order[bisect_left(ends, start + 1) : bisect_left(ends, end + 1)]
        waits.extend(when - acknowledged[write] for write in brought)
    waits.sort()
    return waits


def percentile(waits: Sequence[float], share: float) -> float:
    """Return the value that ``share`` of the sorted values do not exceed."""
    return waits[min(len(waits) - 1, int(len(waits) * share))]
