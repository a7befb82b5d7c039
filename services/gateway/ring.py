"""The newest events of the stream, in the gateway's own memory."""

from bisect import bisect_right
from collections.abc import Sequence

from services.common.cursor import Cursor, Position
from services.gateway.event import ByteBudget, Event


class Ring:
    """The last events of one epoch, without a hole between ``floor`` and ``position``.

    Whoever stands at or above the floor can be told all that came since; it is what slow and returning clients are
    served from, so that they cost neither a queue each nor a read of Redis. ``most_bytes`` bounds the memory that its
    events take with everything that they keep: the oldest are forgotten, and forms are encoded anew rather than kept.
    """

    def __init__(self, size: int, most_bytes: int = 64 << 20) -> None:
        self.epoch: str | None = None
        self.floor = Position(0, 0)
        self.position = Position(0, 0)
        self._size = size
        self._budget = ByteBudget(most_bytes)
        self._events: list[Event] = []
        self._positions: list[Position] = []

    def __len__(self) -> int:
        return len(self._events)

    @property
    def most_bytes(self) -> int:
        """How much memory the events may take."""
        return self._budget.most

    @property
    def bytes(self) -> int:
        """How much memory the events take, with everything that they keep."""
        return self._budget.used

    @property
    def cursor(self) -> Cursor | None:
        """Where the stream is now, or None before the first word from Redis."""
        return None if self.epoch is None else Cursor(self.epoch, self.position)

    def reset(self, epoch: str, floor: Position) -> None:
        """Forget all and begin after ``floor``."""
        self.epoch = epoch
        self.floor = self.position = floor
        self._forget(len(self._events))

    def append(self, events: Sequence[Event]) -> Sequence[Event]:
        """Add the events that are new, and return those; all must follow ``position`` without a hole."""
        if events and events[0].position <= self.position:
            events = events[bisect_right([event.position for event in events], self.position) :]
        if not events:
            return events
        for event in events:
            event.charge_to(self._budget)
        self._events.extend(events)
        self._positions.extend(event.position for event in events)
        self.position = self._positions[-1]
        # Trimmed by the half, so that it is cheap per event: there are at most twice as many as were asked for.
        if len(self._events) > 2 * self._size or self._budget.used > self._budget.most:
            self._trim()
        return events

    def _trim(self) -> None:
        surplus = max(0, len(self._events) - self._size)
        used = self._budget.used - sum(event.kept for event in self._events[:surplus])
        while used > self._budget.most // 2 and surplus < len(self._events):
            used -= self._events[surplus].kept
            surplus += 1
        self.floor = self._positions[surplus - 1]
        self._forget(surplus)

    def _forget(self, count: int) -> None:
        for event in self._events[:count]:
            event.release()
        del self._events[:count], self._positions[:count]

    def advance(self, position: Position) -> None:
        """Go on to ``position``, up to which nothing more has happened."""
        self.position = max(self.position, position)

    def holds(self, position: Position) -> bool:
        """Tell whether every event after ``position`` is here."""
        return position >= self.floor

    def after(self, position: Position, most: int) -> Sequence[Event]:
        """Return up to ``most`` events that follow ``position``, which the log must hold."""
        start = bisect_right(self._positions, position)
        return self._events[start : start + most]
