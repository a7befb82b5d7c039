"""What can be set of the streams of Server-Sent Events."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SseSettings:
    """Times are in seconds, sizes in bytes."""

    heartbeat: float = 15.0
    retry: float = 1.0  # clients wait between this and twice this before they reconnect: no stampede
    stall: float = 30.0  # a client that reads nothing for so long is dropped
    ready: float = 10.0  # how long to wait for the first reply from Redis
