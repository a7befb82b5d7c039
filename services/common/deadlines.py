"""Runs many deadlines of equal length with one timer."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from time import monotonic
from typing import Generic, TypeVar

Item = TypeVar("Item")

# A loop that is later than this was blocked: a client then gets the full delay, counted from the actual request.
_STALL = 0.25


# A client with a thousand connections has a thousand of them due at once: after so long, the rest waits as long again.
_FIRE_SECONDS = 0.002
_PAUSE = 0.01  # at least between two timers, so that waits which fall due one after the other share one

# This many cancelled waits may stay until they are due; beyond, they are removed once they are the majority. Otherwise
# a client that starts and cancels waits as fast as it can would keep each in memory for `delay`.
_CANCELLED_KEPT = 256


class Entry(Generic[Item]):
    """One wait; cancelling it drops its item."""

    __slots__ = ("_cancelled", "at", "item")

    def __init__(self, at: float, item: Item, cancelled: Callable[[], None]) -> None:
        self.at = at
        self.item: Item | None = item
        self._cancelled = cancelled

    def cancel(self) -> None:
        """Cancel the wait."""
        if self.item is not None:
            self.item = None
            self._cancelled()


class Deadlines(Generic[Item]):
    """Calls `due(item)` once `delay` seconds after `add(item)`.

    All waits are equally long, so they fall due in the order in which they were added: a queue replaces a heap, or one
    timer each. The timer serves all, so it runs in a context of its own, not in that of the first (see FairTurns).
    """

    def __init__(self, delay: float, due: Callable[[Item], None]) -> None:
        self._delay = delay
        self._due = due
        self._entries: deque[Entry[Item]] = deque()
        self._cancelled = 0  # an upper bound: those that are past due are still counted
        self._note = self._note_cancelled  # one bound method for all entries
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """The number of waits kept, including cancelled ones."""
        return len(self._entries)

    def add(self, item: Item, after: Entry[Item] | None = None) -> Entry[Item]:
        """Start a wait, at the end of `after` if given: then lateness does not add up, unless the loop stalled."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        start = after.at if after is not None and now - after.at < _STALL else now
        entry = Entry(start + self._delay, item, self._note)
        self._entries.append(entry)
        if self._timer is None:
            self._timer = loop.call_at(entry.at, self._fire, context=Context())
        return entry

    @property
    def pending(self) -> list[Item]:
        """The items that still wait."""
        return [entry.item for entry in self._entries if entry.item is not None]

    def close(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._cancelled = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _note_cancelled(self) -> None:
        self._cancelled += 1
        if self._cancelled > _CANCELLED_KEPT and self._cancelled > len(self._entries) // 2:
            self._entries = deque(entry for entry in self._entries if entry.item is not None)
            self._cancelled = 0

    def _fire(self) -> None:
        # Even after a stall, a reply that is in its socket counts: both loops read before they run late timers.
        self._timer = None
        self.run()

    def run(self) -> None:
        """Handle the waits that are due, in one turn of the loop no more than it has time for; arm the timer."""
        loop = asyncio.get_running_loop()
        now = loop.time() + 0.001  # the resolution of the loop's clock
        until = monotonic() + _FIRE_SECONDS
        while self._entries and self._entries[0].at <= now:
            item = self._entries.popleft().item
            if item is not None:
                try:
                    self._due(item)
                except Exception as error:  # noqa: BLE001 - an error of one client must not cost the others their turn
                    loop.call_exception_handler({"message": "A deadline could not be handled", "exception": error})
            if monotonic() > until:
                break
        if self._timer is None and self._entries:
            pause = _PAUSE if self._entries[0].at > now else _FIRE_SECONDS
            self._timer = loop.call_at(max(self._entries[0].at, now + pause), self._fire, context=Context())
