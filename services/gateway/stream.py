"""The stream of changes as the transports see it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from services.common.cursor import Cursor
from services.gateway.hub import Hub
from services.gateway.subscription import ResumePoint


class Stream(NamedTuple):
    """Once it is ``ready``, ``here`` tells where it is and ``locate`` whether a client can go on from its cursor.

    What it costs to find that out is counted by the client's address. ``locate_now`` tells the same without waiting, or
    None where that is impossible.
    """

    hub: Hub
    ready: asyncio.Event
    current_cursor: Callable[[], Cursor]
    locate: Callable[[Cursor, str], Awaitable[ResumePoint]]
    locate_now: Callable[[Cursor], ResumePoint | None]

    def epoch(self) -> str | None:
        """Return the epoch, or None before anything is known of the stream."""
        return self.current_cursor().epoch if self.ready.is_set() else None
