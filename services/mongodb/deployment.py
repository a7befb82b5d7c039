"""Which MongoDB answers, and what time it is there."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deployment:
    """The MongoDB that answers now: who it is, and its cluster time (u64)."""

    replica_set_id: str | None
    now: int
