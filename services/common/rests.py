"""Says which accounts have no turn for a while: those whose last work has kept the event loop for too long."""

from collections.abc import Callable

from services.common.contention import Contention

# A step that lasts longer is followed by a rest as long as itself. Where the work could not be divided, as to parse a
# body, it is so many times as long while other accounts want turns, too: a response takes them some passes, and must
# not meet such work in every other one.
LONG_SECONDS = 0.001
CONTENDED_REST = 8

_KEPT = 100  # accounts; beyond, those that have rested are forgotten


class Rests:
    """Until when each account rests."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.contention = Contention(clock)
        self._clock = clock
        self._until: dict[str, float] = {}

    def __len__(self) -> int:
        """How many accounts are kept, also some whose rest is over."""
        return len(self._until)

    def lasted(self, account: str, seconds: float, *, was_whole: bool) -> None:
        """Note how long a step, or work that could not be divided, has taken."""
        if seconds > LONG_SECONDS:
            now = self._clock()
            if len(self._until) > _KEPT:
                self._until = {each: until for each, until in self._until.items() if until > now}
            rest = seconds * CONTENDED_REST if was_whole and self.contention.is_present else seconds
            self._until[account] = max(self._until.get(account, 0.0), now + rest)

    def of(self, account: str) -> float:
        """Return how long the account still rests, in seconds."""
        until = self._until.get(account)
        if until is None:
            return 0.0
        if (rest := until - self._clock()) > 0.0:
            return rest
        del self._until[account]
        return 0.0
