"""One client of one Socket.IO namespace."""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from services.gateway.edge.incidents import DisconnectReason
from services.gateway.edge.principal import Credentials
from services.gateway.edge.quota import Standing
from services.gateway.engineio.session import Session
from services.gateway.socketio.serial_queue import SerialQueue
from services.gateway.wire.form import Form
from services.gateway.wire.socketio import disconnect_packet, event_packets

State = TypeVar("State")


class Flow(Protocol):
    """Receives the backpressure of a socket that is written encoded bytes."""

    def paused(self) -> None:
        """Stop writing: the client does not keep up, or is changing its transport."""

    def resumed(self) -> None:
        """Write again, in the form that `Socket.form` has now."""


class Socket(Generic[State]):
    """`state` belongs to the application, which sets it first; so does `flow`, for writing encoded bytes."""

    __slots__ = ("_gone", "_session", "flow", "inbox", "is_connected", "namespace", "sid", "state")

    state: State

    def __init__(
        self,
        session: Session,
        namespace: str,
        sid: str,
        inbox: SerialQueue,
        gone: "Callable[[Socket[State], DisconnectReason], None]",
    ) -> None:
        self._session = session
        self._gone = gone
        self.namespace = namespace
        self.sid = sid
        self.inbox = inbox
        self.is_connected = False
        self.flow: Flow | None = None

    @property
    def address(self) -> str:
        """The client's address, as far as trusted proxies report it."""
        return self._session.address

    def take_credentials(self) -> Credentials | None:
        """Return what came with the handshake of the connection, to the first who asks; None to all others."""
        return self._session.take_credentials()

    def charge_again(self) -> Standing | None:
        """Charge the client's address for one more CONNECT on its connection; return how it stands."""
        return self._session.sessions.charge_again(self._session)

    def identified(self, subject: str) -> Standing | None:
        """Count the connection among those of its subject, which pays for the handshake; return how it stands.

        Raise NotAdmitted where it has too many.
        """
        return self._session.sessions.identified(self._session, subject)

    @property
    def form(self) -> Form:
        """The form that `write_encoded` expects: WEBSOCKET complete frames, POLLING packets joined by the separator."""
        return self._session.form

    @property
    def writable(self) -> bool:
        """Whether `write_encoded` may be called: False between `Flow.paused` and `Flow.resumed`."""
        return self._session.writable

    @property
    def descriptor(self) -> int | None:
        """The file descriptor that takes the same bytes as `write_encoded`; it may change with each `Flow.resumed`."""
        return self._session.carrier.descriptor

    def write_encoded(self, data: bytes | memoryview) -> None:
        """Send bytes encoded in `form`; no effect once the connection is closed."""
        self._session.write(data)

    def emit(self, name: str, *args: object) -> None:
        """Send an event to this client only; bytes in `args` go as attachments. No effect once it is gone.

        Unsent bytes are bounded: the connection of a client that reads too slowly is closed.
        """
        if self.is_connected:
            send_packets(self._session, event_packets(self.namespace, name, args))

    def disconnect(self, reason: DisconnectReason = DisconnectReason.SENT_AWAY) -> None:
        """Disconnect the client from the namespace. It does not reconnect by itself, as it does after `close`."""
        if self.is_connected:
            self._session.send(disconnect_packet(self.namespace))
            self._gone(self, reason)

    def close(self, reason: DisconnectReason) -> None:
        """Close the whole connection; the client reconnects by itself."""
        self._session.close(reason)

    def abort(self, reason: DisconnectReason) -> None:
        """Cut the whole connection and discard unsent bytes; the client reconnects by itself."""
        self._session.abort(reason)


def send_packets(session: Session, packets: list[bytes]) -> None:
    """Send a packet's text and its attachments."""
    session.send(packets[0])
    for attachment in packets[1:]:
        session.send_binary(attachment)
