"""The identity of the MongoDB that answers, and its time."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deployment:
    """The MongoDB that answers now: its replica set, and its cluster time (u64)."""

    replica_set_id: str | None
    now: int
