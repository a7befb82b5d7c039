"""What can go wrong, one class for each way a program can react."""

from collections.abc import Mapping, Sequence
from typing import Any


class LiveOrdersError(Exception):
    """Every error of this library."""


class HistoryLost(LiveOrdersError):
    """The changes after a cursor can no longer be delivered.

    ``reason`` says why. Load the orders anew, and follow from ``cursor``: the changes after it are all there.
    """

    def __init__(self, reason: str, cursor: str) -> None:
        super().__init__(f"The changes cannot be delivered any more ({reason}): load the orders anew")
        self.reason = reason
        self.cursor = cursor


class AccessEnded(LiveOrdersError):
    """We may not read: the token is refused, has ended or was revoked, …; ``reason`` is the server's word for it."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The server does not let us in: {reason}")
        self.reason = reason


class Refused(LiveOrdersError):
    """The server has refused a request, and nothing was written.

    ``status`` is that of HTTP, ``type`` identifies the kind of problem, and ``errors`` names the fields at fault.
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(str(problem.get("detail") or problem.get("title") or f"HTTP {status}"))
        self.status = status
        self.type = str(problem.get("type", "about:blank"))
        self.errors: Sequence[Mapping[str, Any]] = problem.get("errors") or ()


class OutcomeUnknown(LiveOrdersError):
    """The server could not be asked for long whether a write was done. ``key`` is its `Idempotency-Key`."""

    def __init__(self, key: str) -> None:
        super().__init__("It is not known whether the write was done")
        self.key = key
