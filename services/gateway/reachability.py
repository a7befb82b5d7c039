"""Whether MongoDB answers: logs each outage and recovery once, and polls for the recovery."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog

from services.common.dependency_metrics import Dependency
from services.common.error_text import error_text
from services.mongodb.faults import explain

# Between two checks during an outage; each check takes the driver's server selection time as well.
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 1.0

log = structlog.get_logger("gateway")


class Reachability:
    """The store reports each answer and each failure to it."""

    def __init__(self) -> None:
        self._is_up = True
        self._lost = asyncio.Event()
        self._outages = 0
        self.dependency = Dependency("mongodb", lambda: self._is_up, lambda: self._outages)

    def failed(self, error: Exception) -> None:
        """Record that MongoDB does not answer."""
        if self._is_up:
            self._is_up = False
            self._outages += 1
            self._lost.set()
            log.warning(
                "MongoDB does not answer; REST is unavailable until it does", error=explain(error_text(error))[:300]
            )

    def answered(self) -> None:
        """Record that MongoDB answers."""
        if not self._is_up:
            self._is_up = True
            log.info("MongoDB answers again")

    async def await_return(self, check: Callable[[], Awaitable[object]]) -> None:
        """Poll during each outage, for ever; otherwise only the next request would notice and log the recovery."""
        while True:
            await self._lost.wait()
            self._lost.clear()
            pause = _FIRST_PAUSE
            while not self._is_up:
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                await check()
                pause = min(2 * pause, _LONGEST_PAUSE)
