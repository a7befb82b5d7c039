"""Charges each client for what it uses: its subject where that is known, or else its address."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from time import monotonic
from typing import NamedTuple

import structlog

from services.gateway.edge.bucket import Bucket
from services.gateway.edge.log_throttle import LogThrottle
from services.gateway.edge.peer import account_of
from services.gateway.edge.quota import Quota, Standing, Use

# Accounts that are remembered, one for each use; then the one that was used least recently is forgotten. 20 MB.
MOST_ACCOUNTS = 50_000

# The part of a quota that an account uses here before the other gateways are told. Few clients ever use so much, and
# the others cost Redis nothing; an account may exceed its quota by this part on each further gateway.
SHARED_FROM = 0.1

_ROUNDING = 1e-6  # seconds

Account = tuple[Use, str]


class Limit(NamedTuple):
    """A quota; ``spares_crowds``: not for addresses that stand for many clients, which the defaults must not hit."""

    quota: Quota
    spares_crowds: bool = False


class Debit(NamedTuple):
    """Seconds of a quota that an account has used on this gateway."""

    account: Account
    seconds: float


def nobody(_: str) -> bool:
    """Call no address a crowd."""
    return False


class FairShare:
    """The accounts of this gateway. Nothing here waits: others learn of them, and are learnt from, in the background.

    ``is_crowd`` tells whether an address stands for many clients. A use without a limit is free.
    """

    def __init__(
        self,
        limits: Mapping[Use, Limit] | None = None,
        is_crowd: Callable[[str], bool] = nobody,
        *,
        clock: Callable[[], float] = monotonic,
        most: int = MOST_ACCOUNTS,
    ) -> None:
        self._limits = dict(limits or {})
        self._is_crowd = is_crowd
        self._clock = clock
        self._most = most
        self._buckets: OrderedDict[Account, Bucket] = OrderedDict()
        self._due: dict[Account, None] = {}  # to be told to the others
        self.on_due: Callable[[], None] = _ignore
        self._throttles = {use: LogThrottle() for use in Use}

    def __len__(self) -> int:
        return len(self._buckets)

    def charge(self, use: Use, address: str, subject: str = "", amount: int = 1) -> Standing | None:
        """Let a client use so many; return how it stands, or None where there is no limit for it."""
        limit = self._limit_for(use, address, subject)
        if limit is None:
            return None
        account = (use, _name(address, subject))
        bucket = self._bucket(account)
        standing = bucket.take(use, limit.quota, self._clock(), amount)
        if not standing.is_allowed:
            self._log_refusal(account, limit.quota)
        else:
            self._note_use(account, bucket, limit.quota)
        return standing

    def give_back(self, use: Use, address: str, subject: str = "") -> None:
        """Undo one use that was charged before."""
        limit = self._limit_for(use, address, subject)
        account = (use, _name(address, subject))
        bucket = self._buckets.get(account)
        if limit is None or bucket is None:
            return
        bucket.give_back(limit.quota, self._clock())
        self._note_use(account, bucket, limit.quota)

    def take_due(self, most: int) -> list[Debit]:
        """Return what the others are to be told now; `learn` or `restore` all of it."""
        now = self._clock()
        debits: list[Debit] = []
        while self._due and len(debits) < most:
            account = next(iter(self._due))
            del self._due[account]
            debits.append(Debit(account, self._buckets[account].take_unshared(now)))
        return debits

    def learn(self, debits: list[Debit], debts: list[float]) -> None:
        """Take over the seconds that all gateways together have counted for these accounts."""
        now = self._clock()
        for (account, _), debt in zip(debits, debts, strict=True):
            if account in self._buckets:
                self._buckets[account].learn(debt, now)

    def restore(self, debits: list[Debit]) -> None:
        """Keep for later what could not be told."""
        for account, seconds in debits:
            if account in self._buckets:
                self._buckets[account].unshared += seconds
                self._due[account] = None

    def _limit_for(self, use: Use, address: str, subject: str) -> Limit | None:
        limit = self._limits.get(use)
        if limit is None or (limit.spares_crowds and not subject and self._is_crowd(address)):
            return None
        return limit

    def _bucket(self, account: Account) -> Bucket:
        bucket = self._buckets.get(account)
        if bucket is None:
            self._forget_some()
            bucket = self._buckets[account] = Bucket()
        else:
            self._buckets.move_to_end(account)
        return bucket

    def _forget_some(self) -> None:
        """Forget up to two accounts that have used nothing of late, and one in any case where there are too many."""
        now = self._clock()
        for _ in range(2):
            if not self._buckets:
                return
            oldest = next(iter(self._buckets))
            if not self._buckets[oldest].is_whole(now) and len(self._buckets) < self._most:
                return
            del self._buckets[oldest]
            self._due.pop(oldest, None)

    def _note_use(self, account: Account, bucket: Bucket, quota: Quota) -> None:
        if abs(bucket.unshared) > SHARED_FROM * quota.seconds - _ROUNDING:
            self._due[account] = None
            self.on_due()

    def _log_refusal(self, account: Account, quota: Quota) -> None:
        use, name = account
        unlogged = self._throttles[use].passes()
        if unlogged is not None:
            _log.warning(
                "A client has exceeded its limit and is refused",
                limit=use,
                client=name,
                quota=f"{quota.amount}/{quota.seconds}",
                unlogged_before=unlogged,
            )


_log = structlog.get_logger("clients")


def _ignore() -> None:
    """Nobody else is told."""


def _name(address: str, subject: str) -> str:
    # No address has a space in it, so a subject cannot pass itself off as one.
    return f"subject {subject}" if subject else account_of(address)
