"""The handlers of one Socket.IO namespace, which an application overrides."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

from services.gateway.edge.incidents import DisconnectReason
from services.gateway.socketio.socket import Socket
from services.gateway.wire.socketio import Argument

State = TypeVar("State")
Ack = Callable[..., None]
Extra = Mapping[str, object]


class ConnectionRefused(Exception):
    """Raised by `Namespace.connect`: the client gets a CONNECT_ERROR with this message and data."""

    def __init__(self, message: str, data: object = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class Namespace(Generic[State]):
    """Override the methods that you need. They may be plain or `async`; per socket they run one at a time and in order.

    A call that is still running when the client disconnects is cancelled; shield work that must finish.
    """

    def connect(
        self,
        socket: Socket[State],  # noqa: ARG002
        auth: Mapping[str, Argument],  # noqa: ARG002
    ) -> Awaitable[Extra | None] | Extra | None:
        """Admit the client by returning extra fields for the CONNECT reply (such as `pid`) or None; refuse by raising.

        Nothing can be emitted yet.
        """
        return None

    def greeting(self, socket: Socket[State]) -> tuple[str, Sequence[object]] | None:  # noqa: ARG002
        """Return an event to send with the CONNECT reply, as name and arguments without bytes in them; or None.

        Emitting it in `started` does the same with a separate write.
        """
        return None

    def started(self, socket: Socket[State]) -> Awaitable[None] | None:  # noqa: ARG002
        """Start the client: events emitted from here on follow the CONNECT reply."""
        return None

    def event(
        self,
        socket: Socket[State],  # noqa: ARG002
        name: str,  # noqa: ARG002
        args: Sequence[Argument],  # noqa: ARG002
        ack: Ack | None,  # noqa: ARG002
    ) -> Awaitable[None] | None:
        """Handle an event; call `ack` once with the answer if the client asked for one."""
        return None

    def disconnected(self, socket: Socket[State], reason: DisconnectReason) -> None:
        """Clean up: called exactly once for each `started`, as soon as the client is gone."""
