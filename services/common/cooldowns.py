"""Gives an account no turns for a while after it has held the event loop for long."""

from collections.abc import Callable

from services.common.contention import Contention
from services.common.time_budget import TimeBudget

# Work that lasts longer is followed by a cooldown as long as itself. While other accounts want turns, too, short work
# adds up until it is so long: one account has half of the loop at most. A client that works on and on has a quarter:
# once it has spent its budget, its cooldowns are longer. They are longer still after work that could not be divided, as
# to parse a body: a response takes the others some passes, and must not meet such work in every other one.
LONG_SECONDS = 0.001
BUDGET_SECONDS, BUDGET_SHARE = 0.3, 0.25
SPENT_COOLDOWN = 3
WHOLE_COOLDOWN = 8
# More does not add up: on a busy machine a step takes long because the machine does something else meanwhile.
LONGEST_SECONDS = 0.2

_KEPT = 100  # accounts of each kind; beyond, those whose cooldown is over, and what short work is owed, are forgotten


class Cooldowns:
    """Until when each account gets no turns."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.contention = Contention(clock)
        self._clock = clock
        self._budget = TimeBudget(BUDGET_SECONDS, BUDGET_SHARE, clock=clock)
        self._until: dict[str, float] = {}
        self._owed: dict[str, float] = {}  # for work that was too short for a cooldown

    def __len__(self) -> int:
        """How many accounts are kept, also some whose cooldown is over."""
        return len(self._until.keys() | self._owed.keys())

    def note(self, account: str, seconds: float, *, was_whole: bool = False, is_client: bool = True) -> None:
        """Note how long a piece of work has taken; ``was_whole`` where it could not be divided.

        What is not of one client has no budget.
        """
        is_contended = self.contention.is_present
        owed = self._owed.pop(account, 0.0) + seconds if is_contended else seconds
        if is_client:
            self._budget.spend(account, seconds)
        if owed > LONG_SECONDS:
            now = self._clock()
            if len(self._until) > _KEPT:
                self._until = {each: until for each, until in self._until.items() if until > now}
            times = 1
            if is_contended and was_whole and seconds > LONG_SECONDS:
                times = WHOLE_COOLDOWN
            elif is_contended and is_client and self._budget.is_spent(account):
                times = SPENT_COOLDOWN
            cooldown = owed * times
            most = cooldown if times == WHOLE_COOLDOWN else max(owed, LONGEST_SECONDS)
            before = self._until.get(account, 0.0)
            self._until[account] = min(max(before, now) + cooldown, max(before, now + most))
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
