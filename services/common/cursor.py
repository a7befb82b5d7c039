"""The position of a reader in the history of changes, and the cursor that names it to clients."""

import re
from typing import NamedTuple, Self

from bson import Timestamp

LAST_ORDINAL = 2**32 - 1
VIEW_LENGTH = 8
LONGEST_CURSOR = 32 + 1 + VIEW_LENGTH + 1 + 20 + 1 + 10  # epoch, underscore, view, dot, time, hyphen, ordinal

_POSITION = re.compile(r"(0|[1-9][0-9]{0,19})-(0|[1-9][0-9]{0,9})", re.ASCII)
_EPOCH = re.compile(rf"([0-9a-z]{{1,32}})(?:_([0-9a-z]{{{VIEW_LENGTH}}}))?", re.ASCII)


def cluster_time(stamp: Timestamp) -> int:
    """Return MongoDB's timestamp as the integer used in positions."""
    return stamp.time << 32 | stamp.inc


def timestamp(ts: int) -> Timestamp:
    """Return MongoDB's timestamp for an integer of `cluster_time`."""
    return Timestamp(ts >> 32, ts & 0xFFFFFFFF)


class InvalidCursor(ValueError):
    """The text is not a cursor."""


class Position(NamedTuple):
    """The position of one change in commit order; it is also the entry's ID in the Redis log.

    ``ts`` is the change's clusterTime as an unsigned 64-bit integer (seconds << 32 | increment), ``n`` its ordinal
    among the changes with that clusterTime (those of one transaction share it), from 0. Both are facts of the oplog,
    so every watcher computes the same position for the same change, before and after any restart.
    """

    ts: int
    n: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``"<ts>-<n>"``; raise InvalidCursor for anything else."""
        match = _POSITION.fullmatch(text)
        if match is None:
            raise InvalidCursor(f"not a position: {text[:64]!r}")
        ts, n = int(match[1]), int(match[2])
        if ts >= 2**64 or n > LAST_ORDINAL:
            raise InvalidCursor(f"not a position: {text[:64]!r}")
        return cls(ts, n)

    @classmethod
    def end_of(cls, ts: int) -> Self:
        """The position after every change of cluster time ``ts``, where a snapshot read at ``ts`` ends."""
        return cls(ts, LAST_ORDINAL)

    @classmethod
    def before(cls, ts: int) -> Self:
        """The position just before the first change of cluster time ``ts``."""
        return cls.end_of(ts - 1)

    @property
    def below(self) -> "Position":
        """The position just before this one; the first has none."""
        if not self.ts:
            return Position(0, 0)
        return Position(self.ts, self.n - 1) if self.n else Position.before(self.ts)

    @property
    def above(self) -> "Position":
        """The position just after this one."""
        return Position(self.ts + 1, 0) if self.n == LAST_ORDINAL else Position(self.ts, self.n + 1)

    def next_at(self, ts: int) -> "Position":
        """The position of the change that follows this one and was committed at ``ts``."""
        return Position(ts, self.n + 1) if ts == self.ts else Position(ts, 0)

    def __str__(self) -> str:
        return f"{self.ts}-{self.n}"


class Cursor(NamedTuple):
    """The token that clients hold and send back: a position, and the epoch within which positions are ordered.

    The ``view`` tells which orders the client was shown up to there; it is empty for all orders.
    """

    epoch: str
    position: Position
    view: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``"<epoch>.<ts>-<n>"`` or ``"<epoch>_<view>.<ts>-<n>"``; raise InvalidCursor for anything else."""
        if len(text) > LONGEST_CURSOR:
            raise InvalidCursor("longer than any cursor")
        head, dot, position = text.partition(".")
        match = _EPOCH.fullmatch(head)
        if not dot or match is None:
            raise InvalidCursor(f"not a cursor: {text[:64]!r}")
        return cls(match[1], Position.parse(position), match[2] or "")

    def __str__(self) -> str:
        head = f"{self.epoch}_{self.view}" if self.view else self.epoch
        return f"{head}.{self.position.ts}-{self.position.n}"
