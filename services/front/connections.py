"""Counts the open TCP connections of a port, and evicts when there are too many: silent ones first."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Protocol

from services.common.deadlines import Deadlines, Entry
from services.front.shortage import Shortage

HEAD_SECONDS = 10.0
_MOST_SCANNED = 32  # connections checked for being idle before a new one is refused


class State(StrEnum):
    """The use of a connection."""

    SILENT = "silent"  # no complete request yet: nothing, or part of one, has arrived
    HTTP = "http"  # requests and responses, also idle between two requests
    WEBSOCKET = "websocket"
    SSE = "sse"


class ConnectionRefusal(StrEnum):
    """Why a connection is refused, or closed before its first request."""

    TOO_MANY_CONNECTIONS = "too_many_connections"
    TOO_MANY_FROM_ADDRESS = "too_many_from_address"
    OUT_OF_DESCRIPTORS = "out_of_descriptors"
    EVICTED = "evicted"  # it was silent or idle, and its slot was needed
    SILENT = "silent"  # nothing arrived in time
    HEAD_TOO_SLOW = "head_too_slow"  # only part of a request arrived in time


class NoRoom(Exception):
    """There is no room for one more connection."""

    def __init__(self, refusal: ConnectionRefusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


class Evictable(Protocol):
    """The protocol of a connection that may be closed here."""

    @property
    def is_idle(self) -> bool:
        """Whether it may be closed without loss: no request is in flight."""

    def overdue(self) -> ConnectionRefusal:
        """Close it because no complete request arrived in time; return which of the two kinds it was."""

    def evict(self) -> None:
        """Close it because its slot is needed."""


class SharedSlot:
    """The slot of all websockets or all streams: just a count, since only their owners close them."""

    __slots__ = ("taken",)

    def __init__(self) -> None:
        self.taken = 0

    def release(self) -> None:
        """The connection is closed."""
        self.taken -= 1


class Slot:
    """The slot of one connection that is silent or serves HTTP."""

    __slots__ = ("_address", "_connections", "_deadline", "_table", "connection")

    def __init__(self, connections: "Connections", connection: Evictable, address: str | None) -> None:
        self.connection = connection
        self._connections = connections
        self._address = address
        self._table = connections.silent
        self._table[self] = None
        self._deadline: Entry[Slot] | None = connections.heads.add(self)

    def request_complete(self) -> None:
        """Note that a complete request has arrived."""
        self._cancel_deadline()
        del self._table[self]  # and reinserted at the end: the longest idle come first
        self._table = self._connections.http
        self._table[self] = None

    def request_begun(self) -> None:
        """Note the beginning of a request, and start the deadline for the rest."""
        if self._deadline is None:
            self._deadline = self._connections.heads.add(self)

    def overdue(self) -> None:
        """Close the connection."""
        self._deadline = None
        self._connections.count(self.connection.overdue())

    def upgrade(self, state: State) -> SharedSlot:
        """Turn the connection into a websocket or a stream."""
        self.release()
        slot = self._connections.shared[state]
        slot.taken += 1
        return slot

    def release(self) -> None:
        """Free the slot: the connection is closed, or handed over."""
        self._cancel_deadline()
        if self._table.pop(self, self) is None:
            self._connections.forget(self._address)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionBounds:
    """The most connections; further ones are refused.

    ``per_address`` limits silent and HTTP connections: the others are clients, limited per client elsewhere.
    ``last_descriptor`` is the highest file descriptor that a connection may get; higher ones are reserved for us.
    """

    total: int
    per_address: int
    last_descriptor: int


class Connections:
    """The connections of one port. A slot is taken at accept, before anything is read, and kept until the close."""

    def __init__(
        self,
        bounds: ConnectionBounds,
        count: Callable[[ConnectionRefusal], None],
        *,
        head_seconds: float = HEAD_SECONDS,
    ) -> None:
        self.bounds = bounds
        self.count = count
        self.silent: dict[Slot, None] = {}  # the oldest first
        self.http: dict[Slot, None] = {}  # the longest idle first
        self._websockets, self._streams = SharedSlot(), SharedSlot()
        self.shared = {State.WEBSOCKET: self._websockets, State.SSE: self._streams}
        self.heads: Deadlines[Slot] = Deadlines(head_seconds, Slot.overdue)
        self._per_address: Counter[str] = Counter()
        self._shortage = Shortage()

    @property
    def is_out_of_descriptors(self) -> bool:
        """Whether other files have taken the descriptors of new connections just now."""
        return self._shortage.lasts(ConnectionRefusal.OUT_OF_DESCRIPTORS)

    def __len__(self) -> int:
        return len(self.silent) + len(self.http) + self._websockets.taken + self._streams.taken

    def census(self) -> dict[State, int]:
        """Return the number of connections by state."""
        taken = {state: slot.taken for state, slot in self.shared.items()}
        return {State.SILENT: len(self.silent), State.HTTP: len(self.http), **taken}

    def admit(self, connection: Evictable, address: str | None, descriptor: int) -> Slot:
        """Take a slot, or raise NoRoom; with ``address`` None, there is no limit for its peer."""
        if address is not None and self._per_address[address] >= self.bounds.per_address:
            raise self._refused(ConnectionRefusal.TOO_MANY_FROM_ADDRESS, address)
        if descriptor > self.bounds.last_descriptor:
            self._make_room(ConnectionRefusal.OUT_OF_DESCRIPTORS)
        elif len(self) >= self.bounds.total:
            self._make_room(ConnectionRefusal.TOO_MANY_CONNECTIONS)
        if address is not None:
            self._per_address[address] += 1
        return Slot(self, connection, address)

    def forget(self, address: str | None) -> None:
        """Forget one connection of an address."""
        if address is not None:
            self._per_address[address] -= 1
            if self._per_address[address] <= 0:
                del self._per_address[address]

    def evict_for_descriptors(self, lowest_free: int) -> None:
        """Evict when other files use up the descriptors: then no accept happens, which would evict otherwise."""
        if lowest_free > self.bounds.last_descriptor:
            with suppress(NoRoom):
                for _ in range(_MOST_SCANNED):
                    self._make_room(ConnectionRefusal.OUT_OF_DESCRIPTORS)

    def _make_room(self, lack: ConnectionRefusal) -> None:
        victim = next(iter(self.silent), None) or next(
            (one for one in self._longest_idle() if one.connection.is_idle), None
        )
        if victim is None:
            raise self._refused(lack)
        self._shortage.notice(lack, connections=len(self))
        self.count(ConnectionRefusal.EVICTED)
        victim.release()
        victim.connection.evict()

    def _longest_idle(self) -> Iterator[Slot]:
        return islice(self.http, _MOST_SCANNED)

    def _refused(self, refusal: ConnectionRefusal, address: str | None = None) -> NoRoom:
        self.count(refusal)
        self._shortage.notice(refusal, connections=len(self), **({} if address is None else {"address": address}))
        return NoRoom(refusal)

    def close(self) -> None:
        """Close the connections without a request, and stop all timers."""
        for slot in list(self.silent):
            slot.release()
            slot.connection.evict()
        self.heads.close()
        self._shortage.close()
