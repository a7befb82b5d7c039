"""Carries messages over a websocket on a bare asyncio transport: no task, no queue."""

import asyncio
from typing import Protocol, cast

from services.common.deadlines import Deadlines, Entry
from services.front.connections import State
from services.front.taken import Taken
from services.gateway.edge.descriptor import unbuffered_descriptor
from services.gateway.wire.engineio import base64_packet
from services.gateway.wire.form import Form
from services.gateway.wire.frame_reader import Close, FrameReader, Ping, Pong, Violation
from services.gateway.wire.websocket import CloseCode, binary_frame, close_frame, pong_frame, text_frame


class Owner(Protocol):
    """Who a websocket reports to."""

    def websocket_received(self, message: str | bytes) -> None:
        """Take one message."""

    def websocket_control(self) -> None:
        """A ping or pong of the websocket itself came in, which counts towards the client's rate."""

    def websocket_lost(self, violation: CloseCode | None) -> None:
        """The connection is over; `violation` where the client broke the protocol. Called at most once."""

    def pause_writing(self) -> None:
        """Something is unsent: the client reads too slowly."""

    def resume_writing(self) -> None:
        """Nothing is unsent any more."""


class WebSocketConnection(Taken):
    """One websocket after its handshake."""

    __slots__ = (
        "_base64",
        "_closing",
        "_cutoff",
        "_going",
        "_owner",
        "_paused",
        "_reader",
        "_transport",
        "descriptor",
    )

    form = Form.WEBSOCKET
    state = State.WEBSOCKET

    def __init__(self, max_payload: int, closing: "Deadlines[WebSocketConnection]", *, base64: bool = False) -> None:
        super().__init__()
        self._closing = closing
        self._reader = FrameReader(max_payload)
        self._owner: Owner | None = None
        self._cutoff: Entry[WebSocketConnection] | None = None
        self._base64 = base64
        self._going = self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self.descriptor = unbuffered_descriptor(self._transport)

    def report_to(self, owner: Owner) -> None:
        """Report to `owner` from now on."""
        self._owner = owner

    def data_received(self, data: bytes) -> None:
        """Take the messages apart. After our own close frame only the client's is still waited for."""
        for message in self._reader.feed(data):
            match message:
                case Close(code):
                    self._finish(code, None)
                case Violation(code, _):
                    self._finish(code, code)
                case _ if self._owner is None:
                    pass
                case str() | bytes():
                    self._owner.websocket_received(message)
                case Ping(payload):
                    self._owner.websocket_control()
                    if not self._paused and not self._going:  # or a client that never reads would fill our memory
                        self._transport.write(pong_frame(payload))
                case Pong():
                    self._owner.websocket_control()

    @property
    def writable(self) -> bool:
        """Whether nothing is unsent."""
        return not self._paused

    @property
    def unsent(self) -> int:
        """How many bytes wait to be sent."""
        return self._transport.get_write_buffer_size()

    def write(self, encoded: bytes) -> None:
        """Send complete frames."""
        self._transport.write(encoded)

    def send_text(self, *packets: bytes) -> None:
        """Send packets, each in a frame of its own."""
        self._transport.write(b"".join(map(text_frame, packets)))

    def send_binary(self, data: bytes) -> None:
        """Send a binary message."""
        self._transport.write(text_frame(base64_packet(data)) if self._base64 else binary_frame(data))

    def close(self, code: CloseCode, reason: str = "", *, orderly: bool = True) -> bool:  # noqa: ARG002
        """Begin the closing handshake; a client that does not answer is cut off."""
        self._owner = None
        if not self._going and not self._transport.is_closing():
            self._going = True
            self._transport.write(close_frame(code, reason))
            self._cutoff = self._closing.add(self)
        return False

    def abort(self) -> None:
        """Cut the connection, whatever is unsent."""
        self._owner = None
        self._transport.abort()

    def _finish(self, code: int | None, violation: CloseCode | None) -> None:
        if not self._going:
            self._going = True
            self._transport.write(close_frame(code))
            self._cutoff = self._closing.add(self)
        self._transport.close()
        self._lost(violation)

    def _lost(self, violation: CloseCode | None) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.websocket_lost(violation)

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the end, unless it has been reported."""
        super().connection_lost(exc)
        self._going = True
        if self._cutoff is not None:
            self._cutoff.cancel()
        self._lost(None)

    def pause_writing(self) -> None:
        """Pass on."""
        self._paused = True
        if self._owner is not None:
            self._owner.pause_writing()

    def resume_writing(self) -> None:
        """Pass on."""
        self._paused = False
        if self._owner is not None:
            self._owner.resume_writing()
