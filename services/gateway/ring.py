"""The newest events of the stream, in the gateway's own memory."""

from bisect import bisect_right
from collections.abc import Sequence

from services.common.cursor import Cursor, Position
from services.gateway.event import ByteBudget, Event


class Ring:
    """The last events of one epoch, without a gap between ``floor`` and ``position``.

    It serves slow and returning clients at or above the floor, so that they cost neither a queue each nor a read from
    Redis. ``most_bytes`` bounds the memory of its events with everything that they cache: beyond it, the oldest events
    are evicted, and encoded forms are no longer cached.
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
    def most_events(self) -> int:
        """The most events that it holds for a while: twice those that it keeps, since it is trimmed by half."""
        return 2 * self._size

    @property
    def most_bytes(self) -> int:
        """The memory limit of the events."""
        return self._budget.most

    @property
    def bytes(self) -> int:
        """The memory that the events take, with everything that they cache."""
        return self._budget.used

    @property
    def cursor(self) -> Cursor | None:
        """Where the stream is now, or None before the first reply from Redis."""
        return None if self.epoch is None else Cursor(self.epoch, self.position)

    def reset(self, epoch: str, floor: Position) -> None:
        """Drop all events and begin after ``floor``."""
        self.epoch = epoch
        self.floor = self.position = floor
        self._forget(len(self._events))

    def append(self, events: Sequence[Event]) -> Sequence[Event]:
        """Add the events that are new, and return those; they must follow ``position`` without a gap."""
        if events and events[0].position <= self.position:
            events = events[bisect_right([event.position for event in events], self.position) :]
        if not events:
            return events
        for event in events:
            event.charge_to(self._budget)
        self._events.extend(events)
        self._positions.extend(event.position for event in events)
        self.position = self._positions[-1]
        # Trimmed by half, which is cheap per event: the ring holds at most twice the configured number.
        if len(self._events) > self.most_events or self._budget.used > self._budget.most:
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
        """Advance to ``position``, up to which there are no more events."""
        self.position = max(self.position, position)

    def holds(self, position: Position) -> bool:
        """Tell whether every event after ``position`` is here."""
        return position >= self.floor

    def upto(self, position: Position) -> Sequence[Event]:
        """Return the events up to ``position``, that one included."""
        return self._events[: bisect_right(self._positions, position)]

    def after(self, position: Position, most: int) -> Sequence[Event]:
        """Return up to ``most`` events that follow ``position``, which the ring must hold."""
        start = bisect_right(self._positions, position)
        return self._events[start : start + most]
