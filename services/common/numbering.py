"""Numbers the events of a change stream: an event has the same position for every reader and starting point."""

from collections.abc import Mapping
from typing import Any

from services.common.cursor import LAST_ORDINAL, Position
from services.common.normalize import Change, End, Unknown, normalize, without_images
from services.common.visible_fields import VisibleFields


class UnreadableEvent(ValueError):
    """Not even the id of the changed document can be encoded as JSON."""


class Numbering:
    """Turns the events of one epoch, in stream order, into changes with positions.

    ``last`` is the position of the latest change. The watcher and the gateways both number with this class: if one
    counted an event that the other skips, all later cursors would name different changes. For both, envelopes have the
    ``visible`` fields only.
    """

    def __init__(self, epoch: str, last: Position, visible: VisibleFields) -> None:
        self._epoch = epoch
        self._visible = visible
        self.last = last

    @classmethod
    def replaying(cls, epoch: str, after: Position, visible: VisibleFields) -> "Numbering":
        """Number a replay of the changes after ``after``, from the start of its first cluster time."""
        return cls(epoch, Position.before(replay_time(after)), visible)

    def of(self, event: Mapping[str, Any]) -> Change | End | Unknown:
        """Normalize the next event; raise UnreadableEvent.

        A document that cannot be encoded as JSON is sent without its data, for clients to fetch: one such event must
        not end the stream, and skipping it would shift the later positions.
        """
        try:
            item = self._normalized(event)
        except _UNREADABLE:
            try:
                item = self._normalized(without_images(event))
            except _UNREADABLE as error:
                raise UnreadableEvent(f"a change cannot be encoded as JSON: {error!r}") from error
        if isinstance(item, Change):
            self.last = item.position
        return item

    def _normalized(self, event: Mapping[str, Any]) -> Change | End | Unknown:
        return normalize(event, self._epoch, self.last, self._visible)


_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)


def replay_time(after: Position) -> int:
    """Return the cluster time at which to start reading, to get all changes after ``after`` with the same numbers.

    That whole cluster time is read again, so that ordinals count from 0, unless ``after`` is its end: then it may be
    the very drop that began the epoch, which must not be read again.
    """
    return after.ts + 1 if after.n == LAST_ORDINAL else after.ts
