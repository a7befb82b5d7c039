"""The names of one stream's keys in Redis."""

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
