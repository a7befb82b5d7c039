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

    A break is no reason to change: one that has worked is tried again first, and only then each of the others, once and
    at once. So it is the one that is tried as a server comes back, after however long. Where the server is back just in
    time for another one, that is no reason to change either: the one that has worked is tried once more.
    """

    def __init__(self, transports: Sequence[Transport]) -> None:
        self._all = list(transports)
        self._wish = self._first = self.now = self._all[0]  # the program's; of each round of attempts; of this one
        self._misses = 0
        self._is_connected = False
        self._is_refused = False  # the first one, since another one showed that the server is back
        self._worked: set[Transport] = set()

    def use(self, transport: Transport) -> None:
        """Prefer another."""
        if transport not in self._all:
            raise LiveOrdersError(f"There is no transport {transport} here, only {', '.join(self._all)}")
        self._wish = self._first = self.now = transport
        self._misses = 0
        self._is_connected = False
        self._is_refused = False

    def succeeded(self) -> bool:
        """Note that the present one has connected; tell whether one that worked before is to be tried at once."""
        self._worked.add(self.now)
        self._first = self._wish if self._wish in self._worked else self.now
        is_other = self.now != self._first
        if is_other and not self._is_refused:
            self.now = self._first
            self._misses = _TRIES
            self._is_refused = True  # until it connects
            return True
        self._misses = 0
        self._is_connected = True
        self._is_refused = is_other
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
