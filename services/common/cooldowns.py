"""Gives an account no turns for a while after it has held the event loop for long."""

from collections.abc import Callable

from services.common.contention import Contention

# Work that lasts longer is followed by a cooldown as long as itself. While other accounts want turns, too, short work
# adds up until it is so long: one account has half of the loop at most. Where long work could not be divided, as to
# parse a body, the cooldown is then so many times as long: a response takes the others some passes, and must not meet
# such work in every other one.
LONG_SECONDS = 0.001
CONTENDED_COOLDOWN = 8

_KEPT = 100  # accounts of each kind; beyond, those whose cooldown is over, and what short work is owed, are forgotten


class Cooldowns:
    """Until when each account gets no turns."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.contention = Contention(clock)
        self._clock = clock
        self._until: dict[str, float] = {}
        self._owed: dict[str, float] = {}  # for work that was too short for a cooldown

    def __len__(self) -> int:
        """How many accounts are kept, also some whose cooldown is over."""
        return len(self._until.keys() | self._owed.keys())

    def note(self, account: str, seconds: float, *, was_whole: bool = False) -> None:
        """Note how long a piece of work has taken; ``was_whole`` where it could not be divided."""
        is_contended = self.contention.is_present
        owed = self._owed.pop(account, 0.0) + seconds if is_contended else seconds
        if owed > LONG_SECONDS:
            now = self._clock()
            if len(self._until) > _KEPT:
                self._until = {each: until for each, until in self._until.items() if until > now}
            cooldown = seconds * CONTENDED_COOLDOWN if was_whole and is_contended and seconds > LONG_SECONDS else owed
            self._until[account] = max(self._until.get(account, 0.0), now + cooldown)
        elif is_contended:
            if len(self._owed) > _KEPT:
                self._owed.clear()
            self._owed[account] = owed

    def of(self, account: str) -> float:
        """Return how long the cooldown of the account still lasts, in seconds."""
        until = self._until.get(account)
        if until is None:
            return 0.0
        if (cooldown := until - self._clock()) > 0.0:
            return cooldown
        del self._until[account]
        return 0.0
