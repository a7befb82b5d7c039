"""Says what a session needs of whatever gets its packets to the client."""

from typing import Protocol

from services.gateway.wire.form import Form
from services.gateway.wire.websocket import CloseCode


class Carrier(Protocol):
    """What gets a session's packets to the client: polling requests or a websocket."""

    form: Form

    @property
    def writable(self) -> bool:
        """Whether the client takes more than has been sent."""

    @property
    def unsent(self) -> int:
        """How many bytes wait to be sent."""

    def send_text(self, *packets: bytes) -> None:
        """Send packets, together where that is possible."""

    def send_binary(self, data: bytes) -> None:
        """Send a binary message."""

    @property
    def descriptor(self) -> int | None:
        """The file descriptor that takes what `write` takes, while nothing is unsent; None where there is none."""

    def write(self, encoded: bytes | memoryview) -> None:
        """Send what is already in the carrier's form."""

    def close(self, code: CloseCode, reason: str, *, orderly: bool) -> bool:
        """Send what is unsent, then close; `orderly` where the client did nothing wrong.

        Returns whether the rest waits for the client to fetch it.
        """

    def abort(self) -> None:
        """Close at once, whatever is unsent."""
