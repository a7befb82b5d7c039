"""Remembers why the epochs of the past ended: it is the reason that a client with a cursor of one is told."""

from services.common.normalize import EpochReason
from services.gateway.subscription import Reason, ResyncReason

_KEPT = 100  # the reason why an older one ended is unknown


class EndedEpochs:
    """The epochs that this gateway has seen end."""

    def __init__(self) -> None:
        self._current: str | None = None
        self._reasons: dict[str, Reason] = {}
        self._before: Reason = ResyncReason.EPOCH_UNKNOWN  # why those before ended

    def begin(self, epoch: str | None, reason: Reason) -> None:
        """Note that another epoch begins, and why the one until now has ended."""
        ended, self._current = self._current, epoch
        if ended is None:
            # Before the first start there was none: with this reason, a cursor of another epoch is just unknown.
            self._before = ResyncReason.EPOCH_UNKNOWN if reason is EpochReason.FIRST_START else reason
        else:
            self._reasons[ended] = reason
            if len(self._reasons) > _KEPT:
                self._before = self._reasons.pop(next(iter(self._reasons)))

    def why(self, epoch: str) -> Reason:
        """Return why an epoch that is not the present one has ended."""
        return self._reasons.get(epoch, self._before)
