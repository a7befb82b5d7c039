"""One client's replay from the oplog, and one pass through the oplog, which serves several replays."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic
from typing import NamedTuple

from services.common.cursor import Position
from services.gateway.subscription import ResyncReason, Subscription

# Clients no further apart than this always share a pass: opening a change stream costs as much as reading so far.
NEAR_SECONDS = 60
# Clients of one account in a pass that it shares with others: each page is sent to all of them before the next is read.
MOST_OF_ONE = 20


class ReplayBounds(NamedTuple):
    """Limits of replays from the oplog; clients beyond them must resync."""

    events: int = 50_000  # changes sent to one client
    age: float = 86_400.0  # seconds: the age of its cursor
    patience: float = 30.0  # seconds that it waits for the next change, or for its turn
    passes: int = 8  # running or planned
    passes_per_account: int = 2


class ReplayOutcome(StrEnum):
    """How a replay ended: by serving the client, or by a reason to resync."""

    SERVED = "served"
    HISTORY_LOST = ResyncReason.HISTORY_LOST.value
    HISTORY_UNAVAILABLE = ResyncReason.HISTORY_UNAVAILABLE.value
    REPLAY_TOO_LONG = ResyncReason.REPLAY_TOO_LONG.value
    TOO_MANY_REPLAYS = ResyncReason.TOO_MANY_REPLAYS.value


@dataclass(eq=False)
class Replay:
    """The replay of one client."""

    subscription: Subscription
    events_left: int  # changes
    progressed_at: float  # when it last made progress

    @property
    def position(self) -> Position:
        """The position up to which the client has been sent everything."""
        return self.subscription.position


class Pass:
    """One pass: it is ``at`` a position, and serves clients at that position or later.

    ``account`` is that of the client that caused it: clients that join cost MongoDB nothing.
    """

    def __init__(self, account: str, at: Position) -> None:
        self.account = account
        self.at = at
        self.replays: set[Replay] = set()
        self.reading: asyncio.Task[None] | None = None  # None while it waits for a reader
        self.lingers = False  # all its clients are paused by backpressure
        self.joined = asyncio.Event()
        self.idle_since = monotonic()

    def can_serve(self, position: Position, newest: Position) -> bool:
        """Tell whether this pass, which reads up to ``newest``, soon serves a client at ``position``.

        A pass begins at most about twice as far back as each of its clients needs. So no client waits behind another's
        very old cursor, and yet all passes together read little more than the longest of them.
        """
        return self._suits(position, newest) and (self.at <= position or self.reading is None)

    def has_passed(self, position: Position, newest: Position) -> bool:
        """Tell whether this pass would have served a client at ``position`` if it had come a little sooner."""
        return self._suits(position, newest) and self.at > position and self.reading is not None

    def _suits(self, position: Position, newest: Position) -> bool:
        near, far = sorted((age(position, newest), age(self.at, newest)))
        return far <= max(2 * near, NEAR_SECONDS)

    def is_crowded(self, account: str) -> bool:
        """Tell whether one account has so many clients in it that it should not be shared, by this account, either."""
        counts = Counter(replay.subscription.account for replay in self.replays)
        own = counts.pop(account, 0)
        return bool(counts) and max(own, *counts.values()) >= MOST_OF_ONE

    def join(self, replay: Replay) -> None:
        """Serve one more client."""
        if self.reading is None:
            self.at = min(self.at, replay.position)
        self.replays.add(replay)
        self.joined.set()

    @property
    def is_active(self) -> bool:
        """Whether it costs MongoDB anything now or soon."""
        return self.lingers or bool(self.waiting())

    def waiting(self) -> set[Replay]:
        """Return the replays still to be served; drop clients that have left or are paused by backpressure."""
        self.replays = {replay for replay in self.replays if replay.subscription.is_behind()}
        if self.replays:
            self.idle_since = monotonic()
        return self.replays


def age(position: Position, newest: Position) -> int:
    """Return how many seconds before ``newest`` a position is."""
    return max(0, (newest.ts >> 32) - (position.ts >> 32))
