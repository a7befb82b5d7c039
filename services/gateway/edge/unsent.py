"""Bounds what waits in this process to be sent, for all clients together."""

import asyncio
from collections import Counter
from typing import NamedTuple, Protocol

import structlog

from services.gateway.edge.limits import Count, Incident, count_nothing

log = structlog.get_logger("clients")


class Holder(Protocol):
    """A connection for which something waits."""

    def cut(self) -> None:
        """Give up the connection at once, with all that is unsent."""


class _Held(NamedTuple):
    """What waits for one connection: bytes of its own, and the rest of a buffer that others wait for as well."""

    own: int
    shared: bytes | None
    rest: int


class Unsent:
    """What waits for all clients of this gateway; beyond ``most`` bytes those are cut that have been slow for longest.

    Nobody has anything here but a client whose connection takes no more, so that to keep the sum costs the others
    nothing. What the fan-out could not send to many is one buffer in memory, and is counted once.
    """

    def __init__(self, most: int, count: Count = count_nothing) -> None:
        self._most = most
        self._count = count
        self._held: dict[Holder, _Held] = {}  # in the order in which they became slow
        self._shared: Counter[int] = Counter()  # by the identity of the buffer, which lives while anybody holds it
        self._cut_scheduled = False
        self._over_limit = False
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, holder: Holder, waiting: int, written: bytes | memoryview = b"") -> None:
        """Note that so many bytes wait for a connection; a view in ``written`` keeps a buffer that is shared."""
        before = self._held.get(holder)
        if before is not None:
            self._subtract(before)
            shared, rest = before.shared, before.rest
        elif isinstance(written, memoryview) and isinstance(written.obj, bytes):
            shared, rest = written.obj, len(written)
        else:
            shared, rest = None, 0
        self._held[holder] = held = _Held(max(0, waiting - rest), shared, rest)
        self._add(held)
        if self.bytes > self._most and not self._cut_scheduled:
            # Later, and not from within the fan-out that has just written this.
            self._cut_scheduled = True
            asyncio.get_running_loop().call_soon(self._cut)

    def release(self, holder: Holder) -> None:
        """Note that nothing waits any more, or that the connection is over; without effect where nothing did."""
        held = self._held.pop(holder, None)
        if held is None:
            return
        self._subtract(held)
        if self._over_limit and self.bytes < self._most // 2:
            self._over_limit = False
            log.info("What waits to be sent is within its bound again")

    def _add(self, held: _Held) -> None:
        self.bytes += held.own
        if held.shared is not None:
            if not self._shared[id(held.shared)]:
                self.bytes += len(held.shared)
            self._shared[id(held.shared)] += 1

    def _subtract(self, held: _Held) -> None:
        self.bytes -= held.own
        if held.shared is not None:
            self._shared[id(held.shared)] -= 1
            if not self._shared[id(held.shared)]:
                del self._shared[id(held.shared)]
                self.bytes -= len(held.shared)

    def _cut(self) -> None:
        """Cut connections until what waits for the others is within the bound."""
        self._cut_scheduled = False
        if self.bytes > self._most and not self._over_limit:
            self._over_limit = True
            log.warning("Too much waits to be sent, cutting the clients that are slow for longest", clients=len(self))
        for holder in list(self._held):
            if self.bytes <= self._most:
                break
            self._count(Incident.SLOW_CONSUMER)
            holder.cut()
            self.release(holder)
