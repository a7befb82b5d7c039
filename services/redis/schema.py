"""Describes the data of one stream in Redis: its keys, their fields, and the message on its channel.

The watcher's scripts write it and the gateway reads it; a test checks the scripts against this description.

- **log**: a stream of the newest changes, one entry each. Its ID is the change's position.
- **head**: a hash with the end of the log, and the position since which it is complete.
- **channel**: where each batch is published once it is in the log, as a JSON object.
- **revocations**: a channel of the gateways, where a message tells the others to read MongoDB; what it says is ignored.

The gateways have keys of their own beside these, which nothing else reads: tickets, and what clients have used of their
limits.
"""

from enum import StrEnum
from typing import NamedTuple, Self


class StreamKeys(NamedTuple):
    """All keys share one hash tag, so that Redis Cluster keeps them in one slot and one script may use them all."""

    log: str
    head: str
    channel: str

    @classmethod
    def of(cls, stream: str) -> Self:
        """Name the keys of ``stream``."""
        tag = f"{{{stream}}}"
        return cls(log=f"{tag}:log", head=f"{tag}:head", channel=f"{tag}:events")

    def limit(self, name: str) -> str:
        """Name the key of what a client has used of a limit, which all gateways share."""
        return f"{self.log.removesuffix('log')}limit:{name}"

    @property
    def revocations(self) -> str:
        """Name the channel on which gateways tell each other that somebody's rights were revoked."""
        return f"{self.log.removesuffix('log')}revocations"

    def ticket(self, name: str) -> str:
        """Name the key of a ticket, by which a gateway recognizes a client that another has identified."""
        return f"{self.log.removesuffix('log')}ticket:{name}"


class EntryField(StrEnum):
    """The fields of an entry in the log, in this order: the scripts find PREV by its place."""

    ENVELOPE = "e"
    IMAGES = "b"  # the fields that filters use, after the change and before an UPDATE: JSON, null if unknown
    PREV = "p"  # the position of the previous entry, so that readers detect a gap whatever caused it


class MessageField(StrEnum):
    """The fields of a message on the channel."""

    EPOCH = "epoch"
    PREV = "prev"  # the position before the first event
    EVENTS = "events"  # a list of envelopes
    IMAGES = "images"  # of each event, as in its entry: ``{"after", "before"}``


class HeadField(StrEnum):
    """The fields of the head."""

    EPOCH = "epoch"
    POSITION = "position"  # of the last entry; before the first one, the floor
    FLOOR = "floor"  # after this position the log is complete
    TOKEN = "token"  # resumes MongoDB's change stream after ``position``
    REASON = "reason"  # why the epoch began, for the clients' resync; empty if the log was rebuilt
    TERM = "term"  # of the lease: the watcher of an older one is fenced off
    ALIVE = "alive"  # the watcher's last heartbeat: seconds by the clock of Redis, to the microsecond
