"""Measures how late the event loop comes to a timer, and how much of that was work of its own."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

INTERVAL = 0.01  # seconds; a turn of the loop that holds it for longer than this cannot go unseen

Observe = Callable[[float, float], None]
"""Told the lag, and the part of it in which the loop's thread was at work; both in seconds."""


class _Probe:
    """A timer that is due every so often."""

    def __init__(self, observe: Observe) -> None:
        self._observe = observe
        self._loop = asyncio.get_running_loop()
        self._arm()

    def _arm(self) -> None:
        self._due = time.perf_counter() + INTERVAL
        self._worked = time.thread_time()
        self._timer = self._loop.call_later(INTERVAL, self._fire)

    def _fire(self) -> None:
        lag = max(0.0, time.perf_counter() - self._due)
        # On a busy machine the thread waits for a CPU, too. That makes the loop late and is nobody's work on it.
        self._observe(lag, min(lag, time.thread_time() - self._worked))
        self._arm()

    def stop(self) -> None:
        self._timer.cancel()


@contextmanager
def measuring_lag(observe: Observe) -> Iterator[None]:
    """Measure the lag of the running loop meanwhile."""
    probe = _Probe(observe)
    try:
        yield
    finally:
        probe.stop()
