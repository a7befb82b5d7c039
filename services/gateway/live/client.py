"""One Socket.IO client of the orders."""

from collections.abc import Mapping, Sequence

from services.common.cursor import Cursor
from services.common.deadlines import Deadlines, Entry
from services.common.documents import iso_at
from services.gateway.edge.lifetime import Lifetime
from services.gateway.edge.limits import DisconnectReason
from services.gateway.edge.principal import Principal
from services.gateway.filters import Interest
from services.gateway.group import offset_suffix
from services.gateway.hub import Hub
from services.gateway.socketio.server import Socket
from services.gateway.subscription import Reason, ResumePoint, Subscription
from services.gateway.wire.form import Form


def gateway_event(fields: Mapping[str, object], cursor: Cursor, interest: Interest) -> Sequence[object]:
    """Return the arguments of an event from the gateway itself; the client recovers with the trailing one."""
    return {**fields, "cursor": str(cursor)}, f"{cursor}{offset_suffix(interest)}"


class LiveClient:
    """One client: the hub's outlet, and the receiver of its connection's backpressure."""

    __slots__ = (
        "_hub",
        "_socket",
        "_stall",
        "_stalls",
        "incident",
        "interest",
        "lifetime",
        "principal",
        "resume_point",
        "subscription",
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
        self.subscription: Subscription | None = None

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

    def emit(self, name: str, fields: Mapping[str, object], cursor: Cursor, interest: Interest) -> None:
        """Send an event from the gateway itself."""
        self._socket.emit(name, *gateway_event(fields, cursor, interest))

    def resync(self, reason: Reason, cursor: Cursor, incident: str) -> None:
        """Tell the client to reload."""
        interest = self.interest if self.subscription is None else self.subscription.interest
        self.emit("resync", {"reason": str(reason), "incident": incident}, cursor, interest)

    def status(self, stale: str | None, cursor: Cursor) -> None:
        """Notify the client whether its data may be old."""
        interest = self.interest if self.subscription is None else self.subscription.interest
        self.emit("status", {"stale": stale is not None, "reason": stale}, cursor, interest)

    def live_until(self, expires_at: float | None) -> None:
        """End with the token."""
        if self.lifetime is not None:
            self.lifetime.renew(expires_at)
        elif expires_at is not None:
            self.lifetime = Lifetime(expires_at, self._warn, self._expire)

    def _warn(self, expires_at: float) -> None:
        self._socket.emit("expiring", {"at": iso_at(expires_at)})

    def _expire(self) -> None:
        self._socket.emit("ended", {"reason": DisconnectReason.TOKEN_EXPIRED})
        self._socket.disconnect(DisconnectReason.TOKEN_EXPIRED)

    def abort(self) -> None:
        """Cut the connection after an error of ours."""
        self._socket.abort(DisconnectReason.SERVER_ERROR)

    def start(self, subscription: Subscription) -> None:
        """Begin to take events as soon as the connection is writable."""
        self.subscription = subscription
        self._socket.flow = self
        if self._socket.writable:
            self._hub.resume(subscription)
        else:
            self.paused()

    def paused(self) -> None:
        """Pause the client in the hub. Polling pauses between any two requests; pings detect whether it still polls.

        An upgrade may end in a websocket that takes nothing: then this is called once more, in the new form.
        """
        if self.subscription is None:
            return
        self._hub.pause(self.subscription)
        if self.form is Form.WEBSOCKET and self._stall is None:
            self._stall = self._stalls.add(self)

    def resumed(self) -> None:
        """Resume the client in the hub: it takes data again, perhaps in another form."""
        self._cancel_stall()
        if self.subscription is not None:
            self._hub.resume(self.subscription)

    def drop(self) -> None:
        """Close the connection of a client that has read nothing for too long."""
        self._stall = None
        self._socket.close(DisconnectReason.SLOW_CONSUMER)

    def leave(self) -> None:
        """Forget the client."""
        self._cancel_stall()
        if self.lifetime is not None:
            self.lifetime.cancel()
        if self.subscription is not None:
            self._hub.unsubscribe(self.subscription)

    def _cancel_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
