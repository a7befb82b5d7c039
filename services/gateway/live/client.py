"""One Socket.IO client of the orders."""

from collections.abc import Mapping, Sequence
from functools import partial

from services.common.cursor import Cursor
from services.common.deadlines import Deadlines, Entry
from services.common.documents import dumps, iso_at
from services.gateway.edge.bearers import Bearer
from services.gateway.edge.incidents import DisconnectReason
from services.gateway.edge.lifetime import Lifetime
from services.gateway.edge.principal import Principal
from services.gateway.event import encode_for_sockets
from services.gateway.filters import Interest
from services.gateway.group import Group, offset_suffix
from services.gateway.hub import Hub
from services.gateway.hub_client import HubClient
from services.gateway.snapshot_chunk import INSIDE, LIVE_EVENT
from services.gateway.snapshot_stream import Snapshots, SnapshotStream
from services.gateway.socketio.server import Socket
from services.gateway.subscription import Reason, ResumePoint, Subscription
from services.gateway.wire.form import Form


def gateway_event(fields: Mapping[str, object], cursor: Cursor | None, interest: Interest) -> Sequence[object]:
    """Return the arguments of an event from the gateway itself; the client recovers with the trailing one.

    Without a cursor, it is inside a snapshot.
    """
    since = INSIDE if cursor is None else str(cursor)
    return {**fields, "cursor": since}, f"{since}{offset_suffix(interest)}"


def encoded_mark(here: Cursor, group: Group) -> bytes:
    """Return `mark`, which tells a live client of the group how far the stream is, as the bytes that go out."""
    cursor = str(here._replace(view=group.view))
    return encode_for_sockets(group.form, b'"mark"', dumps({"cursor": cursor}), f"{cursor}{group.suffix}")


class LiveClient(HubClient):
    """One client: the hub's outlet, and the receiver of its connection's backpressure."""

    __slots__ = (
        "_hub",
        "_socket",
        "_stall",
        "_stalls",
        "bearer",
        "incident",
        "interest",
        "lifetime",
        "principal",
        "resume_point",
        "snapshot",
        "subscription",
        "wants_orders",
    )

    def __init__(
        self,
        socket: "Socket[LiveClient]",
        hub: Hub,
        stalls: "Deadlines[LiveClient]",
        interest: Interest,
        resume_point: ResumePoint,
        incident: str,
        principal: Principal,
        *,
        wants_orders: bool = False,
    ) -> None:
        self._socket = socket
        self._hub = hub
        self._stalls = stalls
        self._stall: Entry[LiveClient] | None = None
        self.interest = interest
        self.resume_point = resume_point
        self.incident = incident  # if it must resync at once, the id under which that is logged
        self.principal = principal
        self.lifetime: Lifetime | None = None  # where it ends with a token
        self.bearer: Bearer | None = None  # where its token can be revoked
        self.subscription: Subscription | None = None
        self.wants_orders = wants_orders  # from the start
        self.snapshot: SnapshotStream | None = None  # once it has asked for the orders

    @property
    def client(self) -> str:
        """The id that `connected` tells the client."""
        return self._socket.sid

    @property
    def form(self) -> Form:
        """The form in which events must be encoded."""
        return self._socket.form

    @property
    def descriptor(self) -> int | None:
        """The file descriptor that takes the same bytes while the client is live, if there is one."""
        return self._socket.descriptor

    def write(self, data: bytes | memoryview) -> None:
        """Send complete encoded events."""
        self._socket.write_encoded(data)

    @property
    def is_writable(self) -> bool:
        """Whether the connection takes more."""
        return self._socket.writable

    @property
    def is_inside(self) -> bool:
        """Whether it has yet to get a part of a snapshot."""
        return self.snapshot is not None and self.snapshot.is_sending

    def emit(self, name: str, fields: Mapping[str, object], cursor: Cursor | None, interest: Interest) -> None:
        """Send an event from the gateway itself."""
        self._socket.emit(name, *gateway_event(fields, cursor, interest))

    def mark(self, here: Cursor, subscription: Subscription) -> None:
        """Tell the client, which is live, how far the stream is."""
        self.write(encoded_mark(here, subscription.group))

    def resync(self, reason: Reason, cursor: Cursor, incident: str) -> None:
        """Tell the client to reload; inside a snapshot, to forget the part that it has, which is sent again."""
        since = None if self.is_inside else cursor
        self.emit("resync", {"reason": str(reason), "incident": incident}, since, self._interest_now)
        if self.is_inside and self.snapshot is not None:
            self.snapshot.start()

    def status(self, stale: str | None, cursor: Cursor) -> None:
        """Notify the client whether its data may be old."""
        self.emit("status", {"stale": stale is not None, "reason": stale}, cursor, self._interest_now)

    def tell_live(self, count: int, cursor: Cursor) -> None:
        """Tell the client that it has all orders."""
        self.emit(LIVE_EVENT, {"count": count}, cursor, self._interest_now)

    def stale_inside(self, reason: str) -> None:
        """Tell the client why its snapshot does not go on."""
        self.emit("status", {"stale": True, "reason": reason}, None, self._interest_now)

    @property
    def _interest_now(self) -> Interest:
        return self.interest if self.subscription is None else self.subscription.interest

    def send_orders(self, snapshots: Snapshots) -> None:
        """Send all orders that the client wants and may see, from the start, and then their changes."""
        if self.subscription is not None:
            if self.snapshot is None:
                self.snapshot = SnapshotStream(snapshots, self.subscription, self)
            self.snapshot.start()

    def live_until(self, expires_at: float | None) -> None:
        """End with the token."""
        if self.lifetime is not None:
            self.lifetime.renew(expires_at)
        elif expires_at is not None:
            self.lifetime = Lifetime(expires_at, self._warn, partial(self.end_because, DisconnectReason.TOKEN_EXPIRED))

    def _warn(self, expires_at: float) -> None:
        self._socket.emit("expiring", {"at": iso_at(expires_at)})

    def end_because(self, reason: DisconnectReason) -> None:
        """Tell the client why it is over, and end it."""
        self._socket.emit("ended", {"reason": reason})
        self._socket.disconnect(reason)

    def abort(self) -> None:
        """Cut the connection after an error of ours."""
        self._socket.abort(DisconnectReason.SERVER_ERROR)

    def start(self, subscription: Subscription, orders: Snapshots | None) -> None:
        """Begin to take events, or where they are given the orders first, as soon as the connection is writable."""
        self.subscription = subscription
        self._socket.flow = self
        if orders is not None:
            self.send_orders(orders)  # first: what has come since its position was found is no change of a list yet
        if self._socket.writable:
            self._hub.resume(subscription)
        else:
            self.paused()

    def paused(self) -> None:
        """Pause the client in the hub. Polling is paused except while a GET is held; pings detect who no longer polls.

        An upgrade may end in a websocket that takes nothing: then this is called once more, in the new form.
        """
        if self.subscription is None:
            return
        self._hub.pause(self.subscription)
        if self.form is Form.WEBSOCKET and self._stall is None:
            self._stall = self._stalls.add(self)

    def resumed(self) -> None:
        """Resume the client in the hub: it takes data again, perhaps in another form."""
        self._resume()

    def drop(self) -> None:
        """Close the connection of a client that has read nothing for too long."""
        self._stall = None
        self._socket.close(DisconnectReason.SLOW_CONSUMER)

    def leave(self) -> None:
        """Forget the client."""
        self._cancel_stall()
        self._leave()
