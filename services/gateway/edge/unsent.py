"""Bounds the bytes that wait in this process to be sent, for all clients together."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import NamedTuple, Protocol

import structlog

from services.gateway.edge.incidents import Count, IncidentKind, count_nothing

log = structlog.get_logger("clients")

# How much is freed below the limit: the search for the connections to cut goes through all slow ones each time.
_FREED = 1 / 8


class Holder(Protocol):
    """A connection with unsent bytes."""

    @property
    def account(self) -> str:
        """What it counts against: its client's address or network."""

    def cut(self) -> None:
        """Cut the connection at once and discard its unsent bytes."""


class _Held(NamedTuple):
    """The unsent bytes of one connection: its own, and the rest of a buffer that it shares with others."""

    own: int
    shared: bytes | None
    rest: int


class Unsent:
    """The unsent bytes of all clients of this gateway; beyond ``limit``, some connections are cut off.

    The account with the most bytes loses its connections first, so that no other pays for it; of these, the ones that
    have been slow the longest.

    Only clients under backpressure are tracked, so the sum costs the others nothing. A buffer that the fan-out could
    not send to many clients exists once in memory, and is counted once.
    """

    def __init__(self, limit: int, count: Count = count_nothing) -> None:
        self.limit = limit
        self._count = count
        self._held: dict[Holder, _Held] = {}  # in the order in which they became slow
        self._shared: Counter[int] = Counter()  # by the identity of the buffer, which lives while a holder refers to it
        self._cut_scheduled = False
        self._over_limit = False
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, holder: Holder, waiting: int, written: bytes | memoryview = b"") -> None:
        """Record a connection's unsent bytes; a view in ``written`` refers to a shared buffer."""
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
        if self.bytes > self.limit and not self._cut_scheduled:
            # Deferred: not from within the fan-out that has just written this.
            self._cut_scheduled = True
            asyncio.get_running_loop().call_soon(self._cut)

    def release(self, holder: Holder) -> None:
        """Record that a connection has no unsent bytes or is closed; no effect if it had none."""
        held = self._held.pop(holder, None)
        if held is None:
            return
        self._subtract(held)
        if self._over_limit and self.bytes < self.limit // 2:
            self._over_limit = False
            log.info("Unsent bytes are within their limit again")

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
        """Cut connections until the unsent bytes of the others are well within the limit."""
        self._cut_scheduled = False
        if self.bytes <= self.limit:
            return
        if not self._over_limit:
            self._over_limit = True
            log.warning("Too many unsent bytes, cutting off slow clients", clients=len(self))
        for holder in self._worst():
            if self.bytes <= self.limit * (1 - _FREED):
                break
            self._count(IncidentKind.SLOW_CONSUMER)
            holder.cut()
            self.release(holder)

    def _worst(self) -> Iterator[Holder]:
        """Yield the connections in the order in which they are cut off."""
        by_account: defaultdict[str, list[tuple[Holder, int]]] = defaultdict(list)
        for holder, held in reversed(self._held.items()):
            by_account[holder.account].append((holder, held.own + held.rest))
        # Tuples sort by the bytes of an account, the most first; no two have the same second element.
        accounts = [(-sum(size for _, size in slow), rank, slow) for rank, slow in enumerate(by_account.values())]
        heapify(accounts)
        while accounts:
            waiting, rank, slow = heappop(accounts)
            holder, size = slow.pop()
            if slow:
                heappush(accounts, (waiting + size, rank, slow))
            yield holder
