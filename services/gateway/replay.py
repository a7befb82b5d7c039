"""One pass through the oplog for clients that stand near one another, and what each of them may still cost."""

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import NamedTuple

from services.common.cursor import Position
from services.gateway.subscription import Subscription

# Clients no further apart than this share a pass, however near they are: to open a change stream costs as much.
NEAR_SECONDS = 60


class ReplayBounds(NamedTuple):
    """What replays from the oplog may cost; beyond, clients are told to load anew."""

    events: int = 50_000  # changes that one client is sent
    age: float = 86_400.0  # seconds that its cursor is old
    patience: float = 30.0  # seconds that it waits for the next change, or for its turn
    passes: int = 8  # through the oplog, under way or planned
    passes_per_address: int = 2


@dataclass(eq=False)
class Replay:
    """What is to be replayed for one client."""

    subscription: Subscription
    events_left: int  # changes
    progressed_at: float  # when it has last got on

    @property
    def position(self) -> Position:
        """Up to where the client has been sent everything."""
        return self.subscription.position


class Pass:
    """One pass: it stands ``at`` a position, and serves those who stand there or further on.

    ``address`` is that of the client that caused it: others that join cost MongoDB nothing.
    """

    def __init__(self, address: str, at: Position) -> None:
        self.address = address
        self.at = at
        self.replays: set[Replay] = set()
        self.reading: asyncio.Task[None] | None = None  # None while it waits for its turn
        self.lingers = False  # its clients take no more for now
        self.joined = asyncio.Event()
        self.idle_since = monotonic()

    def can_serve(self, position: Position, newest: Position) -> bool:
        """Tell whether a client at ``position`` is served soon by this pass, of those from far back to ``here``.

        None begins more than about twice as far back as each of its clients needs. So nobody waits behind the very old
        cursor of somebody else, and yet all passes together read little more than the longest of them.
        """
        near, far = sorted((age(position, newest), age(self.at, newest)))
        fits = far <= max(2 * near, NEAR_SECONDS)
        return fits and (self.at <= position or self.reading is None)

    def join(self, replay: Replay) -> None:
        """Serve one more client."""
        if self.reading is None:
            self.at = min(self.at, replay.position)
        self.replays.add(replay)
        self.joined.set()

    @property
    def is_active(self) -> bool:
        """Whether it costs MongoDB something still, or soon again."""
        return self.lingers or bool(self.waiting())

    def waiting(self) -> set[Replay]:
        """Return those who are still served, and forget those who have left, or take no more for now."""
        self.replays = {replay for replay in self.replays if replay.subscription.is_behind()}
        if self.replays:
            self.idle_since = monotonic()
        return self.replays


def age(position: Position, newest: Position) -> int:
    """Return how many seconds before ``here`` a position is."""
    return max(0, (newest.ts >> 32) - (position.ts >> 32))
