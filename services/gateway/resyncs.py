"""Notes each client that must resync: counts it by reason, and logs why under an id that the client is told too."""

import secrets
from collections.abc import Callable
from time import monotonic

import structlog

from services.common.cursor import Cursor
from services.common.normalize import EpochReason
from services.gateway.subscription import Reason, ResyncReason

REASONS: tuple[Reason, ...] = (*ResyncReason, *EpochReason)

BURST = 8  # clients in a row that have an id and a line each
SHARED_SECONDS = 2.0  # after a burst: all clients within so long share the id and the line of the first
CALM_SECONDS = 10.0  # without a resync: then the burst is over, and each client has a line of its own again
_LONGEST = 100  # characters of a cursor as its client has sent it

log = structlog.get_logger("clients")


class Resyncs:
    """Every id that it returns is in the log, whose lines are limited: a crowd of clients must not fill the disk."""

    def __init__(
        self,
        count: Callable[[Reason, int], None] = lambda _reason, _clients: None,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._count = count
        self._now = now
        self._last_at = float("-inf")
        self._left = BURST
        self._shared_until = float("-inf")
        self._incident = ""
        self._others = 0

    def one(self, reason: Reason, client: str, account: str, cursor: Cursor | str | None) -> str:
        """Note a client whose last position was ``cursor``; return the id of the incident."""
        self._count(reason, 1)
        now = self._now()
        if now >= self._last_at + CALM_SECONDS:
            self._left = BURST
        self._last_at = now
        if self._left > 0:
            self._left -= 1
        elif now < self._shared_until:
            self._others += 1
            return self._incident
        else:
            self._shared_until = now + SHARED_SECONDS
        self._incident = secrets.token_hex(4)
        log.info(
            "A client must resync",
            incident=self._incident,
            reason=str(reason),
            client=client,
            address=account,
            cursor=None if cursor is None else str(cursor)[:_LONGEST],
            unlogged_before=self._others,
        )
        self._others = 0
        return self._incident

    def everyone(self, reason: Reason, clients: int) -> str:
        """Count that all clients must resync; return the id of the incident, which the feed logs with its cause."""
        self._count(reason, clients)
        return secrets.token_hex(4)
