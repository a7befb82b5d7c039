"""The real orders namespace over the real transports, on an imaginary stream, within a test."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from services.common.cursor import Cursor, Position
from services.common.fair_turns import FairTurns
from services.common.normalize import EpochReason
from services.common.tasks import Tasks
from services.gateway.edge.incidents import IncidentKind
from services.gateway.event import Event
from services.gateway.filters import EVERYTHING
from services.gateway.hub import Hub
from services.gateway.live.orders_namespace import LiveOrders
from services.gateway.mongodb_gate import MongodbGate
from services.gateway.recovery import SessionIds
from services.gateway.ring import Ring
from services.gateway.snapshot_chunks import SnapshotChunks
from services.gateway.snapshot_stream import Snapshots
from services.gateway.store import OrdersBelow
from services.gateway.stream import Stream
from services.gateway.subscription import Mode, ResumePoint, Subscription
from services.gateway.wire.form import Form
from tests.conformance.running import Running, socket_server
from tests.conformance.settings import CALM
from tests.stream_events import Outlet, events
from tests.waiting import HANGS


@dataclass
class Orders:
    """The stream: changes are numbered, and all clients in the hub are known."""

    running: Running
    ring: Ring
    hub: Hub
    history: list[Event] = field(repr=False)  # of this epoch
    incidents: list[IncidentKind]  # of the orders themselves
    epoch: str = "e1"
    last: int = 0
    errors: list[Exception] = field(default_factory=list)

    def publish(self, count: int) -> None:
        first, self.last = self.last + 1, self.last + count
        added = events(first, self.last, self.epoch)
        self.history += added
        self.hub.publish(self.ring.append(added))

    def begin_epoch(self) -> None:
        self.epoch = f"e{int(self.epoch[1:]) + 1}"
        self.last += 1
        self.history.clear()
        self.ring.reset(self.epoch, Position(self.last, 0))
        self.hub.begin_epoch(EpochReason.COLLECTION_DROPPED)

    def join(self, outlet: Outlet) -> None:
        """Add a client that always listens."""
        self.hub.resume(self.hub.subscribe(outlet, EVERYTHING, self.ring.position))

    def modes(self) -> Counter[tuple[Form, Mode]]:
        return Counter(self.hub.census())

    def left_over(self) -> list[Any]:
        """Everything that the hub still has of anybody."""
        hub = self.hub
        return [*hub._subscriptions, *hub._groups, *hub._groups._index._by_key, *hub._ahead._waiting, *hub._queued]


@asynccontextmanager
async def orders_server(
    *, ring_events: int = 10_000, stall: float = 2 * HANGS, **changes: Any
) -> AsyncIterator[Orders]:
    """Serve orders; in the end nothing of anybody must be left in the hub."""
    ring = Ring(ring_events)
    ring.reset("e1", Position(0, 0))
    history: list[Event] = []
    incidents: list[IncidentKind] = []

    def bring_soon(subscription: Subscription) -> None:
        """Act as Redis: return events that the ring no longer holds, a page at a time."""
        asyncio.get_running_loop().call_soon(bring, subscription)

    def bring(subscription: Subscription) -> None:
        page = [each for each in history if each.position > subscription.position][:150]
        if subscription.is_behind() and not ring.holds(subscription.position):
            hub.write_events(subscription, page)
        if subscription.is_behind():
            if ring.holds(subscription.position):
                hub.serve_from_ring(subscription)
            else:
                bring_soon(subscription)

    turns = FairTurns()
    hub = Hub(ring, bring_soon, turns)
    ready = asyncio.Event()
    ready.set()

    def current_cursor() -> Cursor:
        assert ring.cursor is not None
        return ring.cursor

    async def locate(since: Cursor, _account: str) -> ResumePoint:
        return hub.resume_points.locate(since)

    async def below(*_: Any, **__: Any) -> OrdersBelow:
        return OrdersBelow([], ring.position.ts, None, is_complete=True)

    async with Tasks() as tasks:
        snapshots = Snapshots(SnapshotChunks(below, turns, MongodbGate()), hub, current_cursor, turns, tasks.spawn)
        live = LiveOrders(
            Stream(hub, ready, current_cursor, locate, hub.resume_points.locate, turns, snapshots),
            SessionIds("secret"),
            "here",
            incidents.append,
            lambda _form, _reason: None,
            stall=stall,
        )
        tasks.keep("marks", live.send_marks())
        with live.stopping():
            async with socket_server({"/": live}, replace(CALM, **changes)) as running:
                orders = Orders(running, ring, hub, history, incidents)
                hub.failed = orders.errors.append
                yield orders
    assert orders.left_over() == []
    assert orders.errors == []
