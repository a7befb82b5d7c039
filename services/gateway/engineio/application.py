"""The interface that a session needs from the protocol spoken over it: Socket.IO, or an echo in the tests."""

from services.gateway.edge.incidents import DisconnectReason


class Application:
    """The protocol spoken over a session; a subclass overrides the methods that it needs."""

    __slots__ = ()

    def received(self, message: str | bytes) -> None:
        """Handle one message."""

    def closed(self, reason: DisconnectReason) -> None:
        """Handle the end of the session. Called once."""

    def paused(self) -> None:
        """Stop calling `Session.write` until `resumed`; called again if the pause continues on another carrier."""

    def resumed(self) -> None:
        """Write again, in `Session.form`, which may have changed."""
