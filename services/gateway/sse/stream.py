"""Carries events over the connection of one Server-Sent Events client: no task, no queue."""

import asyncio
from collections.abc import Callable
from typing import cast

from services.common.cursor import Cursor
from services.common.deadlines import Deadlines, Entry
from services.common.documents import Json, dumps, iso_at
from services.front.connections import State
from services.front.handover import Successor
from services.gateway.edge.bearers import Bearer
from services.gateway.edge.descriptor import unbuffered_descriptor
from services.gateway.edge.incidents import DisconnectReason
from services.gateway.edge.lifetime import Lifetime
from services.gateway.edge.unsent import Unsent
from services.gateway.hub import Hub
from services.gateway.hub_client import HubClient
from services.gateway.snapshot_chunk import INSIDE, LIVE_EVENT
from services.gateway.snapshot_stream import SnapshotStream
from services.gateway.subscription import Mode, Reason, Subscription
from services.gateway.wire import sse
from services.gateway.wire.form import Form

_STILL_HERE = sse.comment("still here")

IGNORED_BYTES = 65_536  # of what a client sends into its stream


class SseStream(HubClient, Successor):
    """One stream after its headers; an outlet of the hub."""

    __slots__ = (
        "_hub",
        "_ignored",
        "_lost",
        "_paused",
        "_retry",
        "_stall",
        "_stalls",
        "_transport",
        "_unsent",
        "account",
        "bearer",
        "client",
        "descriptor",
        "form",
        "lifetime",
        "reason",
        "snapshot",
        "subscription",
    )

    state = State.SSE

    def __init__(
        self,
        form: Form,
        hub: Hub,
        stalls: "Deadlines[SseStream]",
        lost: Callable[["SseStream"], None],
        retry: Callable[[], bytes],
        unsent: Unsent,
        account: str = "",
        client: str = "",
    ) -> None:
        super().__init__()
        self.account = account
        self.client = client  # the id that `connected` tells it
        self.form = form
        self.reason = DisconnectReason.TRANSPORT_CLOSE  # reported when it ends
        self.subscription: Subscription | None = None
        self.lifetime: Lifetime | None = None  # where it ends with a token
        self.snapshot: SnapshotStream | None = None  # where it shows the orders first
        self.bearer: Bearer | None = None  # where its token can be revoked
        self._hub = hub
        self._stalls = stalls
        self._stall: Entry[SseStream] | None = None
        self._lost = lost
        self._retry = retry
        self._unsent = unsent
        self._ignored = 0
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self.descriptor = unbuffered_descriptor(self._transport)

    def start(self, subscription: Subscription) -> None:
        """Begin to take events as soon as the connection is writable."""
        self.subscription = subscription
        if self._paused:
            self._stall = self._stalls.add(self)
        else:
            self._hub.resume(subscription)

    def write(self, data: bytes | memoryview) -> None:
        """Send complete encoded events."""
        self._transport.write(data)
        if self._paused:
            self._unsent.hold(self, self._transport.get_write_buffer_size(), data)

    def send(self, data: bytes) -> None:
        """Send bytes of the stream itself, not of the fan-out."""
        self.write(sse.chunk(data) if self.form is Form.SSE else data)

    @property
    def is_writable(self) -> bool:
        """Whether the connection takes more."""
        return not self._paused

    def resync(self, reason: Reason, cursor: Cursor, incident: str) -> None:
        """Tell the client to reload; where it is shown the orders, they follow."""
        since = str(cursor) if self.snapshot is None else INSIDE
        fields: Json = {"reason": str(reason), "incident": incident, "cursor": since}
        self.send(sse.event("resync", dumps(fields), since))
        if self.snapshot is not None:
            self.snapshot.start()

    def tell_live(self, count: int, cursor: Cursor) -> None:
        """Tell the client that it has all orders."""
        self.send(sse.event(LIVE_EVENT, dumps({"count": count, "cursor": str(cursor)}), str(cursor)))

    def stale_inside(self, reason: str) -> None:
        """Tell the client why its snapshot does not go on."""
        self.send(sse.event("status", dumps({"stale": True, "reason": reason, "cursor": INSIDE}), INSIDE))

    def status(self, stale: str | None, cursor: Cursor) -> None:
        """Notify the client whether its data may be old."""
        fields: Json = {"stale": stale is not None, "reason": stale, "cursor": str(cursor)}
        self.send(sse.event("status", dumps(fields), str(cursor)))

    def beat(self, here: Cursor | None) -> None:
        """Send a heartbeat; for an up-to-date client, one that moves its last event id to where the stream is."""
        waits_for_orders = self.snapshot is not None and self.snapshot.is_sending and not self._paused
        if self.subscription is None or self.subscription.mode is not Mode.PAUSED or waits_for_orders:
            live = self.subscription if self.subscription is not None and self.subscription.mode is Mode.LIVE else None
            if here is None or live is None:
                self.send(_STILL_HERE)
            else:
                self.send(sse.mark(str(here._replace(view=live.view))))

    def warn(self, expires_at: float) -> None:
        """Warn the client that its token ends soon: it is to connect again with a new one."""
        self.send(sse.event("expiring", dumps({"at": iso_at(expires_at)})))

    def end_because(self, reason: DisconnectReason) -> None:
        """Tell the client why the stream is over, and end it."""
        self.reason = reason
        self.send(sse.event("ended", dumps({"reason": reason})))
        self.end()

    def shut_down(self) -> None:
        """End in order because the server stops; the client reconnects elsewhere, not at once."""
        self.reason = DisconnectReason.SHUTTING_DOWN
        self.send(self._retry())
        self.end()

    def end(self) -> None:
        """End the response; unsent bytes are still sent."""
        self._leave()
        if not self._transport.is_closing():
            if self.form is Form.SSE:
                self._transport.write(sse.LAST_CHUNK)
            self._transport.close()

    def abort(self, reason: DisconnectReason = DisconnectReason.SERVER_ERROR) -> None:
        """Cut the connection and discard unsent bytes."""
        self.reason = reason
        self._leave()
        self._transport.abort()

    def cut(self) -> None:
        """Cut the connection, because too much is unsent for all clients together."""
        self.abort(DisconnectReason.SLOW_CONSUMER)

    def data_received(self, data: bytes) -> None:
        """Ignore it, as this connection takes no further requests, and cut off a client that goes on talking.

        It would keep the loop busy with reading, at no account's expense.
        """
        self._ignored += len(data)
        if self._ignored > IGNORED_BYTES:
            self.abort(DisconnectReason.TRANSPORT_ERROR)

    def eof_received(self) -> bool:
        """Close: a client that closes its half has left."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Report it."""
        super().connection_lost(exc)
        self._cancel_stall()
        self._unsent.release(self)
        self._leave()
        self._lost(self)

    def pause_writing(self) -> None:
        """Pause the client in the hub, which serves it later; it is dropped if the stall lasts."""
        self._paused = True
        if self.subscription is not None:
            self._hub.pause(self.subscription)
            self._stall = self._stalls.add(self)

    def resume_writing(self) -> None:
        """Resume the client in the hub: everything has been sent."""
        self._paused = False
        self._unsent.release(self)
        self._resume()
