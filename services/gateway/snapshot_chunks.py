"""Reads snapshots chunk by chunk, each from the same moment; clients that take the same one share its chunks."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable
from typing import NamedTuple, Protocol

from services.common.fair_turns import FairTurns, Pace, shared_account
from services.gateway.audience import Audience
from services.gateway.group import offset_suffix
from services.gateway.in_flight import InFlight
from services.gateway.mongodb_gate import MongodbGate
from services.gateway.shared_reads import SharedReads
from services.gateway.snapshot_chunk import SnapshotChunk
from services.gateway.store import OrdersBelow

FIRST = 100  # orders of the first chunk; later ones have as many as take about
CHUNK_BYTES = 131_072  # bytes, by the size of those before,
MOST = 500  # yet no more than this
MOST_BYTES = 2 * CHUNK_BYTES  # of BSON in one chunk, however much the orders differ in size; or one larger order

READS_AT_ONCE = 2  # for one address
KEPT_BYTES = 16 << 20  # of chunks that other clients of the same snapshot may come to need


class ReadBelow(Protocol):
    """`OrderStore.below`."""

    def __call__(
        self, audience: Audience, id: str | None, limit: int, most_bytes: int, pace: Pace, at: int | None = None
    ) -> Awaitable[OrdersBelow]: ...


class _Place(NamedTuple):
    """Which chunk: up to ``limit`` orders below the id ``below``, or the newest."""

    audience: Audience
    limit: int
    part: int = 0
    at: int | None = None
    below: str | None = None


class SnapshotChunks:
    """The chunks of all snapshots. Equal audiences share them, so what one may see is never shown to another."""

    def __init__(self, read: ReadBelow, turns: FairTurns, gate: MongodbGate) -> None:
        self._gate = gate
        self._read_below = read
        self._turns = turns
        self._slots = InFlight(READS_AT_ONCE)
        self._first = SharedReads[_Place, SnapshotChunk](self._slots)
        self._reading: dict[_Place, asyncio.Future[None]] = {}
        self._kept: OrderedDict[_Place, SnapshotChunk] = OrderedDict()
        self._kept_bytes = 0

    async def first(self, audience: Audience, account: str, most: int | None = None) -> SnapshotChunk:
        """Return the newest orders, at most so many, as they are at a moment after this call; raise StoreError."""
        place = _Place(audience, _within(FIRST, most))
        async with self._first.reading(place, account, lambda: self._read(place, account)) as chunk:
            return chunk

    async def following(
        self, audience: Audience, account: str, before: SnapshotChunk, most: int | None = None
    ) -> SnapshotChunk:
        """Return the orders below those of the chunk ``before``, of the same moment; raise StoreError."""
        place = _Place(audience, _within(_next_limit(before), most), before.part + 1, before.at, before.last)
        while True:
            chunk = self._kept.get(place)
            if chunk is not None:
                self._kept.move_to_end(place)
                return chunk
            reading = self._reading.get(place)
            if reading is not None:
                await asyncio.shield(reading)  # then it is kept, unless the reading failed
                if place in self._kept:
                    continue
            async with self._slots.slot(account):
                if place not in self._kept and place not in self._reading:
                    return await self._read_and_keep(place, account)

    async def _read_and_keep(self, place: _Place, account: str) -> SnapshotChunk:
        done = self._reading[place] = asyncio.get_running_loop().create_future()
        try:
            chunk = await self._read(place, account)
            self._keep(place, chunk)
            return chunk
        finally:
            del self._reading[place]
            done.set_result(None)

    async def _read(self, place: _Place, account: str) -> SnapshotChunk:
        # Not at the expense of one client's account: others wait for the same chunk.
        pace = Pace(self._turns, shared_account(f"snapshot {hash(place)}"))
        async with self._gate.slot(account):
            found = await self._read_below(place.audience, place.below, place.limit, MOST_BYTES, pace, place.at)
        suffix = offset_suffix(place.audience.interest)
        return SnapshotChunk(found.orders, place.part, found.at, found.last, suffix, is_last=found.is_complete)

    def _keep(self, place: _Place, chunk: SnapshotChunk) -> None:
        self._kept[place] = chunk
        self._kept_bytes += chunk.size
        while self._kept_bytes > KEPT_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= oldest.size


def _within(limit: int, most: int | None) -> int:
    return limit if most is None else min(limit, most)


def _next_limit(before: SnapshotChunk) -> int:
    if not before.count:
        return FIRST
    return max(1, min(MOST, before.count * CHUNK_BYTES // before.length))
