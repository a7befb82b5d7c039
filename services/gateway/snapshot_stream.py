"""Sends a client the orders that it wants, then lets it follow their changes from exactly there."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from services.common.charged_work import charged
from services.common.cursor import Cursor, Position
from services.common.dependency_health import DependencyHealth
from services.common.error_text import error_text
from services.common.fair_turns import FairTurns
from services.common.tasks import Spawn, raise_if_cancelled
from services.gateway.hub import Hub
from services.gateway.snapshot_chunk import SnapshotChunk
from services.gateway.snapshot_chunks import SnapshotChunks
from services.gateway.store_errors import CollectionUnfit, Overloaded, SnapshotTooOld, StoreUnavailable, TooSlow
from services.gateway.subscription import Outlet, ResyncReason, Subscription

UNAVAILABLE = "store_unavailable"  # the `reason` of a `status` while MongoDB does not answer


class SnapshotOutlet(Outlet, Protocol):
    """The end of a connection that a snapshot is sent to. Its `resync` starts the snapshot anew while one is sent."""

    @property
    def is_writable(self) -> bool:
        """Whether the connection takes more; when it does again, it calls `SnapshotStream.resumed`."""

    def tell_live(self, count: int, cursor: Cursor) -> None:
        """Tell the client that it has been sent all ``count`` orders, and that the changes after ``cursor`` follow."""

    def stale_inside(self, reason: str) -> None:
        """Tell the client why its snapshot does not go on."""


class Snapshots:
    """What the snapshots of all clients share."""

    def __init__(
        self, chunks: SnapshotChunks, hub: Hub, current_cursor: Callable[[], Cursor], turns: FairTurns, spawn: Spawn
    ) -> None:
        self.chunks = chunks
        self.hub = hub
        self.current_cursor = current_cursor
        self.turns = turns
        self.spawn = spawn
        self.health = DependencyHealth("orders", first_pause=0.2, longest_pause=2.0)


class SnapshotStream:
    """The snapshot of one client: it is read no faster than the client takes it, and no event is kept for later.

    The events wait as a position: that of the snapshot, from which the hub serves the client once it is complete.
    """

    __slots__ = ("_is_running", "_is_stale", "_most", "_outlet", "_shared", "_subscription", "_version", "_wake")

    def __init__(
        self, shared: Snapshots, subscription: Subscription, outlet: SnapshotOutlet, most: int | None = None
    ) -> None:
        self._shared = shared
        self._subscription = subscription
        self._outlet = outlet
        self._most = most  # orders; without, all
        self._version = 0  # of what is wanted; a snapshot of an earlier one is given up
        self._is_running = False
        self._wake = asyncio.Event()
        self._is_stale = False  # as the client has been told

    @property
    def is_sending(self) -> bool:
        """Whether the client has yet to get a part of the snapshot."""
        return self._subscription.held

    def start(self) -> None:
        """Send a snapshot of what the client wants and may see now, from the start."""
        self._version += 1
        self._subscription.held = True
        self._shared.hub.pause(self._subscription)
        self._wake.set()
        if not self._is_running:
            self._is_running = True
            self._shared.spawn("sending a snapshot", self._run())

    def resumed(self) -> None:
        """Go on: the connection takes more."""
        self._wake.set()

    def stop(self) -> None:
        """Give up: the client has left."""
        self._version += 1
        self._subscription.held = False
        self._wake.set()

    async def _run(self) -> None:
        try:
            with self._shared.hub.isolating(self._subscription):
                while self.is_sending:
                    raise_if_cancelled()
                    await charged(self._shared.turns, self._subscription.account, self._send(self._version))
        finally:
            self._is_running = False

    async def _send(self, version: int) -> None:
        """Send the whole snapshot, unless another is wanted meanwhile."""
        last: SnapshotChunk | None = None
        count = 0
        while last is None or not (last.is_last or count == self._most):
            chunk = await self._read(version, last, count) if await self._is_writable(version) else None
            if chunk is None:
                return
            await self._shared.turns.take(self._subscription.account)
            if version != self._version:
                return
            if not self._outlet.is_writable:
                continue  # so that nothing is kept for a client that takes nothing
            self._subscription.position = Position.end_of(chunk.at)
            count += chunk.count
            last = chunk
            if chunk.count or not chunk.part:  # the first in any case: it tells the client to forget what it has
                self._outlet.write(chunk.encoded(self._outlet.form))
        if await self._is_writable(version):
            self._finish(count)

    def _finish(self, count: int) -> None:
        self._subscription.held = False
        epoch, subscription = self._shared.current_cursor().epoch, self._subscription
        self._outlet.tell_live(count, Cursor(epoch, subscription.position, subscription.view))
        if self._outlet.is_writable:
            self._shared.hub.resume(self._subscription)

    async def _read(self, version: int, before: SnapshotChunk | None, count: int) -> SnapshotChunk | None:
        """Return the next chunk, as soon as MongoDB gives it; None where the snapshot must start anew."""
        chunks, audience, account = self._shared.chunks, self._subscription.audience, self._subscription.account
        most = None if self._most is None else self._most - count
        while version == self._version:
            raise_if_cancelled()
            try:
                if before is None:
                    chunk = await chunks.first(audience, account, most)
                else:
                    chunk = await chunks.following(audience, account, before, most)
            except SnapshotTooOld:
                if version == self._version:
                    self._shared.hub.resync_one(self._subscription, ResyncReason.SNAPSHOT_TOO_OLD)
                return None
            except (StoreUnavailable, TooSlow, Overloaded, CollectionUnfit) as error:
                await asyncio.sleep(self._note_failure(version, error))
                continue
            self._shared.health.succeeded()
            self._is_stale = False
            return chunk if version == self._version else None
        return None

    def _note_failure(self, version: int, error: Exception) -> float:
        """Tell the client, once; return for how long to wait."""
        if not self._is_stale and version == self._version:
            self._is_stale = True
            self._subscription.notified_stale = UNAVAILABLE  # so that the hub tells it when this is over
            self._outlet.stale_inside(UNAVAILABLE)
        return self._shared.health.failed(error_text(error)[:300])

    async def _is_writable(self, version: int) -> bool:
        """Wait until the connection takes more; return whether this snapshot is still wanted."""
        while version == self._version and not self._outlet.is_writable:
            self._wake.clear()
            await self._wake.wait()
        return version == self._version
