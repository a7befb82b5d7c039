"""The clients that are ahead of the stream: a list was read at a time that this gateway has not reached yet."""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import count

from services.common.cursor import Position
from services.gateway.subscription import Subscription


class Ahead:
    """Keeps them by position, so that the stream finds those that it reaches without looking at the others."""

    def __init__(self) -> None:
        self._waiting: set[Subscription] = set()
        self._heap: list[tuple[Position, int, Subscription]] = []  # may still contain clients that have left
        self._tie_breaker = count()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, subscription: Subscription) -> None:
        """Add a client at its position."""
        self._waiting.add(subscription)
        heappush(self._heap, (subscription.position, next(self._tie_breaker), subscription))
        if len(self._heap) > 2 * len(self._waiting) + 100:  # most entries are of clients that have left
            self._heap = [each for each in self._heap if each[2] in self._waiting]
            heapify(self._heap)

    def discard(self, subscription: Subscription) -> None:
        """Forget a client that has left, or that the stream has reached."""
        self._waiting.discard(subscription)

    def reached(self, position: Position) -> Iterator[Subscription]:
        """Yield each client whose position the stream has reached, until it is discarded."""
        while self._heap and self._heap[0][0] <= position:
            _, _, subscription = heappop(self._heap)
            if subscription in self._waiting:
                yield subscription
