"""Keeps many equal waits with one timer."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")

# A loop that is later than this was blocked: a client then has the full delay from when it is really asked.
_STALL = 0.25


class Entry(Generic[Item]):
    """One wait; cancelled by forgetting whom it is for."""

    __slots__ = ("at", "item")

    def __init__(self, at: float, item: Item) -> None:
        self.at = at
        self.item: Item | None = item

    def cancel(self) -> None:
        """Let the time pass without effect."""
        self.item = None


class Deadlines(Generic[Item]):
    """Calls `due(item)` once `delay` seconds after `add(item)`.

    All waits are equally long, so the order of adding is the order of falling due: a queue does what would else take a
    heap, or a timer each.
    """

    def __init__(self, delay: float, due: Callable[[Item], None]) -> None:
        self._delay = delay
        self._due = due
        self._entries: deque[Entry[Item]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, item: Item, after: Entry[Item] | None = None) -> Entry[Item]:
        """Begin a wait, `after` the end of another where given: then delays do not add up, unless the loop stalled."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        start = after.at if after is not None and now - after.at < _STALL else now
        entry = Entry(start + self._delay, item)
        self._entries.append(entry)
        if self._timer is None:
            self._timer = loop.call_at(entry.at, self._fire)
        return entry

    @property
    def pending(self) -> list[Item]:
        """Whoever still waits."""
        return [entry.item for entry in self._entries if entry.item is not None]

    def close(self) -> None:
        """Forget everything."""
        self._entries.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        # Even after a stall nobody is given up whose answer is in its socket: both loops read before late timers run.
        self._timer = None
        self.run()

    def run(self) -> None:
        """Handle what is due by now, and wait for the next."""
        loop = asyncio.get_running_loop()
        now = loop.time() + 0.001  # the resolution of the loop's clock
        while self._entries and self._entries[0].at <= now:
            item = self._entries.popleft().item
            if item is not None:
                try:
                    self._due(item)
                except Exception as error:  # noqa: BLE001 - of one client, which must not cost the others their turn
                    loop.call_exception_handler({"message": "A deadline could not be kept", "exception": error})
        if self._timer is None and self._entries:
            self._timer = loop.call_at(max(self._entries[0].at, now + 0.01), self._fire)
