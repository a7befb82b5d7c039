"""Numbers the events of a change stream: an event has the same position whoever reads it, and wherever they began."""

from collections.abc import Mapping
from typing import Any

from services.common.cursor import LAST_ORDINAL, Position
from services.common.normalize import IMAGES, Change, End, Unknown, normalize


class UnreadableEvent(ValueError):
    """Not even the name of the document that has changed can be put into JSON."""


class Numbering:
    """Turns the events of one epoch, in the order in which they come, into changes with positions.

    ``last`` is the position of the change before the next one. The watcher and the gateways number by this alone:
    were one of them to count an event that the other leaves out, all cursors after it would mean other changes.
    """

    def __init__(self, epoch: str, last: Position) -> None:
        self._epoch = epoch
        self.last = last

    @classmethod
    def replaying(cls, epoch: str, after: Position) -> "Numbering":
        """Number from the beginning of the cluster time at which a replay of what follows ``after`` begins."""
        return cls(epoch, Position.before(replay_time(after)))

    def of(self, event: Mapping[str, Any]) -> Change | End | Unknown:
        """Return what the next event means; raise UnreadableEvent.

        A document that cannot be put into JSON goes out without its data, to be fetched by those who want it: one such
        event must not end the stream, and left out it would shift the positions of those after it.
        """
        try:
            item = self._normalized(event)
        except _UNREADABLE:
            try:
                item = self._normalized({name: value for name, value in event.items() if name not in IMAGES})
            except _UNREADABLE as error:
                raise UnreadableEvent(f"a change cannot be put into JSON: {error!r}") from error
        if isinstance(item, Change):
            self.last = item.position
        return item

    def _normalized(self, event: Mapping[str, Any]) -> Change | End | Unknown:
        return normalize(event, self._epoch, self.last)


_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)


def replay_time(after: Position) -> int:
    """Return the cluster time from which to read so that all that follows ``after`` comes, numbered as before.

    All of that cluster time comes again, so that the ordinals are counted from 0; unless ``after`` is the end of it.
    Then it may be the very drop with which the epoch begins, which is not to be read again.
    """
    return after.ts + 1 if after.n == LAST_ORDINAL else after.ts
