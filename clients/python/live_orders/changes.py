"""One change of one order, as the stream announces it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

Order = Mapping[str, Any]
"""An order's fields as JSON values; ``_id`` is always there."""


class Operation(StrEnum):
    """What has happened to the order."""

    INSERT = "INSERT"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


@dataclass(frozen=True, slots=True)
class Change:
    """One committed change.

    ``data`` is the order after it; of a deleted one, its last known state; None where the server could not deliver it.
    ``left``: the order still exists, but no longer fits the filter, or is no longer ours to see.
    """

    operation: Operation
    id: str
    data: Order | None
    cursor: str
    at: datetime
    left: bool = False

    @classmethod
    def of(cls, envelope: Mapping[str, Any]) -> Self:
        """Return the change in an envelope; raise KeyError or ValueError for anything else."""
        return cls(
            Operation(envelope["operation"]),
            envelope["id"],
            envelope["data"],
            envelope["cursor"],
            datetime.fromisoformat(envelope["at"]),
            envelope.get("left", False),
        )
