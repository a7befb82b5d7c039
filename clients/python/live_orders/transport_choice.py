"""Which of several transports is tried next."""

from collections.abc import Sequence
from enum import StrEnum

from live_orders.errors import LiveOrdersError

_TRIES = 3  # of a transport that has worked, until the others are tried


class Transport(StrEnum):
    """How the events come."""

    WEBSOCKET = "websocket"
    POLLING = "polling"
    SSE = "sse"


class Choice:
    """The transports, the preferred one first.

    A break is no reason to change. After one, the transport that worked is tried three times, then each of the others
    once, at once. If another one connects first, the server may just have come back: the one that worked is tried once
    more, and given up if it fails.
    """

    def __init__(self, transports: Sequence[Transport]) -> None:
        self._all = list(transports)
        self._wish = self._first = self.now = self._all[0]  # the program's; of each round of attempts; of this one
        self._misses = 0
        self._is_connected = False
        self._is_tried_again = False  # the first one, because another one connected; until it connects itself
        self._worked: set[Transport] = set()

    def use(self, transport: Transport) -> None:
        """Prefer another."""
        if transport not in self._all:
            raise LiveOrdersError(f"There is no transport {transport} here, only {', '.join(self._all)}")
        self._wish = self._first = self.now = transport
        self._misses = 0
        self._is_connected = False
        self._is_tried_again = False

    def succeeded(self) -> bool:
        """Note that the present one has connected; tell whether one that worked before is to be tried at once."""
        self._worked.add(self.now)
        self._first = self._wish if self._wish in self._worked else self.now
        is_other = self.now != self._first
        if is_other and not self._is_tried_again:
            self.now = self._first
            self._misses = _TRIES
            self._is_tried_again = True
            return True
        self._misses = 0
        self._is_connected = True
        self._is_tried_again = is_other
        return False

    def failed(self) -> bool:
        """Note that it has not, or that its connection broke; tell whether there is another to be tried at once."""
        if self._is_connected:
            self._is_connected = False
            self.now = self._first
            return False
        if self.now == self._first and self.now in self._worked:
            self._misses += 1
            if self._misses < _TRIES:
                return False
        # One that has never worked may be one that a proxy refuses.
        self.now = self._all[(self._all.index(self.now) + 1) % len(self._all)]
        return self.now != self._first
