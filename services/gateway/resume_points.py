"""Tells where a client with a cursor can resume, or why it must reload."""

from services.common.cursor import Cursor, Position
from services.common.normalize import EpochReason
from services.gateway.ring import Ring
from services.gateway.subscription import Reason, ResumePoint, ResyncReason

_KEPT = 100  # epochs; the reason why an older one ended is unknown


class ResumePoints:
    """Knows what the ring and the log in Redis hold, and why the epochs that this gateway has seen have ended."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self.log_floor = Position(0, 0)  # after it the log in Redis is complete
        self._epoch: str | None = None
        self._reasons: dict[str, Reason] = {}  # why each earlier epoch ended
        self._earliest: Reason = ResyncReason.EPOCH_UNKNOWN  # why those before them ended

    def locate(self, since: Cursor) -> ResumePoint:
        """Return where a client with this cursor can resume, with a reason if it has missed something.

        The reason HISTORY_LOST means that neither the ring nor the log reaches back so far: the oplog may.
        """
        if since.epoch != self._ring.epoch:
            return ResumePoint(self._ring.position, self._reasons.get(since.epoch, self._earliest))
        if not self._ring.holds(since.position) and since.position < self.log_floor:
            return ResumePoint(self._ring.position, ResyncReason.HISTORY_LOST)
        return ResumePoint(since.position, None)

    def begin_epoch(self, epoch: str | None, reason: Reason) -> None:
        """Note that an epoch begins, and why the one before has ended: its clients are told when they return."""
        ended, self._epoch = self._epoch, epoch
        if ended is None:
            # Before the first start there was no epoch: with this reason, a cursor of another one is just unknown.
            self._earliest = ResyncReason.EPOCH_UNKNOWN if reason is EpochReason.FIRST_START else reason
        else:
            self._reasons[ended] = reason
            if len(self._reasons) > _KEPT:
                self._earliest = self._reasons.pop(next(iter(self._reasons)))
