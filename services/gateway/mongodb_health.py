"""Whether MongoDB answers: logs each outage and recovery once, and keeps checking between the requests."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from services.common.dependency_metrics import Dependency
from services.common.error_text import error_text
from services.common.tasks import raise_if_cancelled
from services.mongodb.faults import explain

CHECK_SECONDS = 2.0
# Between two checks during an outage; each check takes the driver's server selection time as well.
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 1.0

log = structlog.get_logger("gateway")


class MongodbHealth:
    """The store reports each answer and each failure to it.

    An outage is what failed, not what was slow once: where this process is busy, MongoDB's answer waits here.
    """

    def __init__(self) -> None:
        self.state = "not reached yet"  # "ok", or what is wrong
        self._is_announced = False
        self._was_slow = False
        self._lost = asyncio.Event()
        self._outages = 0
        self.dependency = Dependency("mongodb", lambda: self.is_up, lambda: self._outages)

    @property
    def is_up(self) -> bool:
        """Whether MongoDB answered when it was last asked."""
        return self.state == "ok"

    def failed(self, error: Exception, state: str) -> None:
        """Record that MongoDB does not answer; ``state`` says so in a few words."""
        self.state = state
        if not self._is_announced:
            self._is_announced = True
            self._outages += 1
            self._lost.set()
            log.warning(
                "MongoDB does not answer; REST is unavailable until it does", error=explain(error_text(error))[:300]
            )

    def slow(self, error: Exception, state: str) -> None:
        """Record that a check was not answered in time: twice in a row, that is an outage."""
        if self._was_slow:
            self.failed(error, state)
        self._was_slow = True

    def answered(self) -> None:
        """Record that MongoDB answers."""
        self.state, self._was_slow = "ok", False
        if self._is_announced:
            self._is_announced = False
            log.info("MongoDB answers again")

    async def keep_checked(self, check: Callable[[], Awaitable[object]]) -> None:
        """Check for ever, more often during an outage: without requests, nothing else would notice either change."""
        pause = _FIRST_PAUSE
        while True:
            raise_if_cancelled()
            await check()
            self._lost.clear()
            if self.is_up:
                seconds, pause = CHECK_SECONDS, _FIRST_PAUSE
            else:
                seconds, pause = pause * random.uniform(0.5, 1.0), min(2 * pause, _LONGEST_PAUSE)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._lost.wait()
