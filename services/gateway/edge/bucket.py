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

    def take(self, use: Use, quota: Quota, now: float) -> Standing:
        """Use one, if there is one; a refusal uses nothing."""
        debt = max(self.whole_at - now, 0.0)
        is_allowed = debt + quota.each <= quota.seconds + _ROUNDING
        if is_allowed:
            debt += quota.each
            self.whole_at = now + debt
            self.unshared += quota.each
        remaining = max(0, math.floor((quota.seconds - debt) / quota.each + _ROUNDING))
        wait = debt - (quota.seconds - (remaining + 1) * quota.each)
        return Standing(use, quota, is_allowed, remaining, wait)

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
