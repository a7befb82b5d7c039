"""The stream of changes as the transports see it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from services.common.cursor import Cursor
from services.common.fair_turns import FairTurns
from services.gateway.hub import Hub
from services.gateway.snapshot_stream import Snapshots
from services.gateway.subscription import ResumePoint


class Stream(NamedTuple):
    """Once it is ``ready``, ``current_cursor`` is where it is and ``locate`` finds where a client can resume.

    The cost of finding out is counted against the client's account. ``locate_now`` does the same without waiting, and
    returns None where that is impossible. Long work for many clients shares ``turns`` with what clients request.
    ``snapshots`` are of the orders themselves, for clients that begin with them.
    """

    hub: Hub
    ready: asyncio.Event
    current_cursor: Callable[[], Cursor]
    locate: Callable[[Cursor, str], Awaitable[ResumePoint]]
    locate_now: Callable[[Cursor], ResumePoint | None]
    turns: FairTurns
    snapshots: Snapshots

    def epoch(self) -> str | None:
        """Return the epoch, or None before the stream is ready."""
        return self.current_cursor().epoch if self.ready.is_set() else None
