"""What one account has used of one quota: a number that falls with time (the generic cell rate algorithm)."""

import math

from services.gateway.edge.quota import Quota, Standing, Use

_ROUNDING = 1e-6  # seconds, and parts of one use


class Bucket:
    """``whole_at``: when all of the quota will be available again, by the clock of the caller, in seconds.

    ``unshared``: seconds of that which this gateway has not told the others yet; negative for what it has given back.
    """

    __slots__ = ("unshared", "whole_at")

    def __init__(self) -> None:
        self.whole_at = -math.inf
        self.unshared = 0.0

    def take(self, use: Use, quota: Quota, now: float, amount: int = 1) -> Standing:
        """Use so many, if there are so many; a refusal uses nothing.

        More than there ever are may be used where nothing of the quota is used yet. They take longer to come back.
        """
        debt, cost = max(self.whole_at - now, 0.0), amount * quota.each
        needed = min(cost, quota.seconds)
        is_allowed = debt + needed <= quota.seconds + _ROUNDING
        if is_allowed:
            debt += cost
            self.whole_at = now + debt
            self.unshared += cost
        remaining = max(0, math.floor((quota.seconds - debt) / quota.each + _ROUNDING))
        next_needed = (remaining + 1) * quota.each if is_allowed else needed
        return Standing(use, quota, is_allowed, remaining, debt + next_needed - quota.seconds)

    def give_back(self, quota: Quota, now: float) -> None:
        """Undo one use, as far as time has not done it already."""
        back = min(quota.each, max(self.whole_at - now, 0.0))
        self.whole_at -= back
        self.unshared -= back

    def take_unshared(self, now: float) -> float:
        """Return what is to be told to the others, which is no more than what time has not made good already."""
        unshared, self.unshared = min(self.unshared, max(self.whole_at - now, 0.0)), 0.0
        return unshared

    def learn(self, debt: float, now: float) -> None:
        """Take over what all gateways together know, to which comes what was used here meanwhile."""
        self.whole_at = now + debt + self.unshared

    def is_whole(self, now: float) -> bool:
        """Tell whether nothing would be lost by forgetting it."""
        return self.whole_at <= now
