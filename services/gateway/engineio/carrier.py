"""The interface that a session needs from its carrier."""

from collections.abc import Callable
from typing import Protocol

from services.gateway.wire.form import Form
from services.gateway.wire.websocket import CloseCode


class Carrier(Protocol):
    """Carries a session's packets to the client: over polling requests or a websocket."""

    form: Form

    @property
    def writable(self) -> bool:
        """Whether the client can take more."""

    @property
    def unsent(self) -> int:
        """How many bytes wait to be sent."""

    def send_text(self, *packets: bytes) -> None:
        """Send packets, in one write where possible."""

    def send_binary(self, data: bytes) -> None:
        """Send a binary message."""

    @property
    def descriptor(self) -> int | None:
        """The file descriptor that takes the same bytes as `write` while nothing is unsent, or None."""

    def write(self, encoded: bytes | memoryview) -> None:
        """Send bytes that are already in the carrier's form."""

    def close(self, code: CloseCode, reason: str, *, orderly: bool) -> bool:
        """Flush, then close; `orderly` where the client did nothing wrong.

        Return whether the session is to linger, so that a last GET can fetch the rest and the close.
        """

    def abort(self) -> None:
        """Close at once and discard unsent packets."""

    def forget(self) -> None:
        """Discard packets that nobody can fetch any more."""

    def when_gone(self, do: Callable[[], None]) -> None:
        """Call ``do`` once the client holds no connection of this carrier any more; at once where it has none.

        To be called after `close` or `abort`, or while the end of the connection is reported.
        """
