"""Says what an application does with the clients of one Socket.IO namespace."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

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
    """Override what is needed. Methods may be plain or `async`; per socket they run one at a time and in order.

    One that is still running when the client goes is cancelled; shield what must be finished.
    """

    def connect(
        self,
        socket: Socket[State],  # noqa: ARG002
        auth: Mapping[str, Argument],  # noqa: ARG002
    ) -> Awaitable[Extra | None] | Extra | None:
        """Admit the client by returning, with further fields for the CONNECT reply (`pid`, say); or refuse by raising.

        Nothing can be emitted yet.
        """
        return None

    def greeting(self, socket: Socket[State]) -> tuple[str, Sequence[object]] | None:  # noqa: ARG002
        """Return an event, its name and arguments without bytes in them, that goes out with the CONNECT reply; or None.

        To emit it in `connected` does the same, by a write of its own.
        """
        return None

    def connected(self, socket: Socket[State]) -> Awaitable[None] | None:  # noqa: ARG002
        """Begin: the CONNECT reply is on its way, and what is emitted from here on follows it."""
        return None

    def event(
        self,
        socket: Socket[State],  # noqa: ARG002
        name: str,  # noqa: ARG002
        args: Sequence[Argument],  # noqa: ARG002
        ack: Ack | None,  # noqa: ARG002
    ) -> Awaitable[None] | None:
        """Take an event; call `ack` with the answer, once, where the client asked for one."""
        return None

    def disconnected(self, socket: Socket[State], reason: str) -> None:
        """End: called exactly once for each `connected`, as soon as the client is gone."""
