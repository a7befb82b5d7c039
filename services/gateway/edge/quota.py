"""What is limited, how much of it a client may use, and what is left, as the `RateLimit` fields of HTTP tell it."""

import math
import re
from enum import StrEnum
from typing import NamedTuple, Self

from services.gateway.edge.incidents import IncidentKind

_FORM = re.compile(r"([1-9][0-9]{0,6})/([1-9][0-9]{0,4})", re.ASCII)
OFF = frozenset({"0", "off"})


class Use(StrEnum):
    """What is limited, each by a quota of its own; the names of the policies in `RateLimit-Policy`."""

    READS = "reads"
    WRITES = "writes"
    EXPENSIVE = "expensive"  # reads that cost many times what others do: large lists, history, exports
    HANDSHAKES = "handshakes"  # new clients over any transport, and tokens to check on an open connection
    SUBSCRIBES = "subscribes"  # changes of filters
    DEEP_RESUMES = "deep_resumes"  # cursors that only the oplog can serve

    @property
    def incident(self) -> IncidentKind:
        """As what a refusal is counted."""
        return _INCIDENTS[self]


_INCIDENTS = {
    Use.READS: IncidentKind.READS_LIMITED,
    Use.WRITES: IncidentKind.WRITES_LIMITED,
    Use.EXPENSIVE: IncidentKind.EXPENSIVE_LIMITED,
    Use.HANDSHAKES: IncidentKind.HANDSHAKES_LIMITED,
    Use.SUBSCRIBES: IncidentKind.SUBSCRIBES_LIMITED,
    Use.DEEP_RESUMES: IncidentKind.DEEP_RESUMES_LIMITED,
}


class Quota(NamedTuple):
    """So many at once, which come back evenly over so many seconds."""

    amount: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read `600/60`, or None from `0` or `off`: no limit. Raise ValueError for anything else."""
        if text in OFF:
            return None
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError("must be N/SECONDS as in 600/60, or 0, or off")
        return cls(int(match[1]), int(match[2]))

    @property
    def each(self) -> float:
        """The seconds in which one comes back."""
        return self.seconds / self.amount


class Standing(NamedTuple):
    """How an account stands after it wanted to use something.

    ``wait``: the seconds until it may use one more than ``remaining``; after a refusal, until it may try again.
    """

    use: Use
    quota: Quota
    is_allowed: bool
    remaining: int
    wait: float

    @property
    def retry_after(self) -> int:
        """Whole seconds, never too few."""
        return max(1, math.ceil(self.wait))

    def fields(self) -> dict[str, str]:
        """Return the header fields of draft-ietf-httpapi-ratelimit-headers-11, and `Retry-After` for a refusal.

        There, ``t`` is the time in which no more than ``r`` can be used; `Retry-After` must not be earlier.
        """
        told = {
            "RateLimit-Policy": f'"{self.use}";q={self.quota.amount};w={self.quota.seconds}',
            "RateLimit": f'"{self.use}";r={self.remaining};t={self.retry_after}',
        }
        return told if self.is_allowed else {**told, "Retry-After": str(self.retry_after)}

    def refusal(self) -> dict[str, object]:
        """Return the same for clients of Socket.IO, as `data` of an error."""
        return {"reason": RATE_LIMITED, "limit": self.use, "retry_after": self.retry_after}


RATE_LIMITED = "rate_limited"
