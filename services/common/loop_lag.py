"""Measures the lag of the event loop, and how much of it was the loop's own work."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

INTERVAL = 0.01  # seconds; any iteration of the loop that takes longer is noticed, and shorter ones by chance

Observe = Callable[[float, float], None]
"""Gets the lag, and the part of it in which the loop's thread was running; both in seconds."""


class _Probe:
    """A periodic timer."""

    def __init__(self, observe: Observe, interval: float) -> None:
        self._observe = observe
        self._interval = interval
        self._loop = asyncio.get_running_loop()
        self._arm()

    def _arm(self) -> None:
        self._due = time.perf_counter() + self._interval
        self._worked = time.thread_time()
        self._timer = self._loop.call_later(self._interval, self._fire)

    def _fire(self) -> None:
        lag = max(0.0, time.perf_counter() - self._due)
        # On a busy machine the thread also waits for a CPU: that makes the loop late without any work on it.
        self._observe(lag, min(lag, time.thread_time() - self._worked))
        self._arm()

    def stop(self) -> None:
        self._timer.cancel()


@contextmanager
def measuring_lag(observe: Observe, interval: float = INTERVAL) -> Iterator[None]:
    """Measure the lag of the running loop within the context."""
    probe = _Probe(observe, interval)
    try:
        yield
    finally:
        probe.stop()
