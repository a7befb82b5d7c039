"""Logs a shortage once when it begins and once when it ends, however many are refused in between."""

import asyncio

import structlog

CALM_SECONDS = 10.0  # without a notice, after which the shortage is over

log = structlog.get_logger("connections")


class Shortage:
    """Several kinds of shortage, each with a beginning and an end, and a sentence for both."""

    def __init__(
        self,
        begins: str = "Connections are refused or evicted to make room",
        ends: str = "There is room for connections again",
        calm: float = CALM_SECONDS,
    ) -> None:
        self._begins = begins
        self._ends = ends
        self._calm = calm
        self._last: dict[str, float] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def notice(self, what: str, **fields: object) -> None:
        """Note that it happened just now; ``fields`` are logged if it is new."""
        loop = asyncio.get_running_loop()
        if what not in self._last:
            log.warning(self._begins, reason=str(what), **fields)
            self._timers[what] = loop.call_later(self._calm, self._check_calm, what)
        self._last[what] = loop.time()

    def lasts(self, what: str) -> bool:
        """Tell whether there is such a shortage now."""
        return what in self._last

    def _check_calm(self, what: str) -> None:
        loop = asyncio.get_running_loop()
        calm_at = self._last[what] + self._calm
        if loop.time() < calm_at:
            self._timers[what] = loop.call_at(calm_at, self._check_calm, what)
            return
        del self._last[what], self._timers[what]
        log.info(self._ends, reason=str(what))

    def close(self) -> None:
        """Stop all timers."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._last.clear()
