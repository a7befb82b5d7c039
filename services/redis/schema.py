"""Describes what one stream keeps in Redis: its keys, their fields, and the message on its channel.

The watcher's scripts write it and the gateway reads it; a test holds the scripts against this description.

- **log**: a stream of the newest changes, one entry each. Its ID is the change's position.
- **head**: a hash that says how far the log goes, and since when it is complete.
- **channel**: where each batch is published once it is in the log, as the JSON object
  ``{"epoch", "prev", "events": [envelope, …], "images": [{"after", "before"}, …]}``; ``prev`` is the
  position before its first event.
"""

from enum import StrEnum
from typing import NamedTuple, Self


class StreamKeys(NamedTuple):
    """All keys share one hash tag, so that Redis Cluster keeps them in one slot and a script may touch them all."""

    log: str
    head: str
    channel: str

    @classmethod
    def of(cls, stream: str) -> Self:
        """Name the keys of ``stream``."""
        tag = f"{{{stream}}}"
        return cls(log=f"{tag}:log", head=f"{tag}:head", channel=f"{tag}:events")


class EntryField(StrEnum):
    """The fields of an entry in the log."""

    ENVELOPE = "e"
    IMAGES = "b"  # what filters look at, after the change and before an UPDATE: JSON, null where nobody knows
    PREV = "p"  # the position of the entry before this one, so that a reader sees a hole whatever made it


class HeadField(StrEnum):
    """The fields of the head."""

    EPOCH = "epoch"
    POSITION = "position"  # of the last entry; before the first one, the floor
    FLOOR = "floor"  # after this position the log is complete
    TOKEN = "token"  # resumes MongoDB's change stream after ``position``
    REASON = "reason"  # why the epoch began, as clients are told it; empty where the log was rebuilt
    TERM = "term"  # of the lease: the watcher of an older one is fenced off
    ALIVE = "alive"  # when a watcher last said that it sees all that happens: seconds by the clock of Redis
