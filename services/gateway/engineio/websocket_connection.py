"""Carries messages over a websocket on a bare asyncio transport: no task, no queue."""

import asyncio
from contextlib import suppress
from typing import Protocol, cast

from services.common.deadlines import Deadlines, Entry
from services.front.connections import State
from services.front.handover import Takeover
from services.gateway.edge.descriptor import unbuffered_descriptor
from services.gateway.edge.unsent import Unsent
from services.gateway.wire.engineio import base64_packet
from services.gateway.wire.form import Form
from services.gateway.wire.frame_reader import Close, FrameReader, Ping, Violation
from services.gateway.wire.websocket import CloseCode, binary_frame, close_frame, pong_frame, text_frame


class Owner(Protocol):
    """Who a websocket reports to."""

    def websocket_received(self, message: str | bytes) -> None:
        """Take one message."""

    def websocket_frame(self) -> bool:
        """Count a frame of whatever kind, before anything is done for it; return whether it may be read."""

    def websocket_lost(self, violation: CloseCode | None) -> None:
        """The connection is over; `violation` where the client broke the protocol. Called at most once."""

    def cut(self) -> None:
        """The websocket is cut off, because too much is unsent for all clients together."""

    def pause_writing(self) -> None:
        """Something is unsent: the client reads too slowly."""

    def resume_writing(self) -> None:
        """Nothing is unsent any more."""


# What one client may have of one turn of the loop. What else it has sent waits, and nothing more is read from it.
FRAMES_PER_TURN = 16
BYTES_PER_TURN = 65_536

# What may be on its way when we close, and is dropped; of a client that sends more nothing is read until it is cut off.
DROPPED_BYTES = 65_536


class WebSocketConnection(Takeover):
    """One websocket after its handshake."""

    __slots__ = (
        "_base64",
        "_closing",
        "_cutoff",
        "_dropped",
        "_going",
        "_next_turn",
        "_owner",
        "_paused",
        "_reader",
        "_transport",
        "_unsent",
        "descriptor",
    )

    form = Form.WEBSOCKET
    state = State.WEBSOCKET

    def __init__(
        self, max_payload: int, closing: "Deadlines[WebSocketConnection]", unsent: Unsent, *, base64: bool = False
    ) -> None:
        super().__init__()
        self._closing = closing
        self._unsent = unsent
        self._reader = FrameReader(max_payload)
        self._owner: Owner | None = None
        self._cutoff: Entry[WebSocketConnection] | None = None
        self._next_turn: asyncio.Handle | None = None
        self._dropped = 0
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
        """Take the messages apart, as many of them as one turn of the loop is to be spent on."""
        if self._going:
            self._drop(len(data))
            return
        self._reader.feed(data)
        if self._next_turn is not None:
            self._transport.pause_reading()
        elif self._read_some():
            self._transport.pause_reading()
            self._next_turn = asyncio.get_running_loop().call_soon(self._read_on)

    def _read_on(self) -> None:
        if self._read_some():
            self._next_turn = asyncio.get_running_loop().call_soon(self._read_on)
        else:
            self._next_turn = None
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def _read_some(self) -> bool:
        """Read what may be read in one turn; return whether more of it is there."""
        last = self._reader.unread - BYTES_PER_TURN
        for _ in range(FRAMES_PER_TURN):
            if not self._read_frame():
                return False
            if self._reader.unread <= last:
                break
        return self._reader.unread > 0

    def _read_frame(self) -> bool:
        """Count and read one frame; return False where there is no whole one, or none is to be read any more."""
        reader, owner = self._reader, self._owner
        if owner is None or (reader.next_frame() and not owner.websocket_frame()) or not reader.is_complete:
            return False
        match message := reader.read():
            case Close(code):
                self._finish(code)
            case Violation(code, _):
                self._finish(code, violation=code)
            case str() | bytes():
                owner.websocket_received(message)
            case Ping(payload) if not self._paused:  # or a client that never reads would fill our memory
                self._transport.write(pong_frame(payload))
        return True

    def _drop(self, size: int) -> None:
        self._dropped += size
        if self._dropped > DROPPED_BYTES:
            self._transport.pause_reading()

    @property
    def writable(self) -> bool:
        """Whether nothing is unsent."""
        return not self._paused

    @property
    def unsent(self) -> int:
        """How many bytes wait to be sent."""
        return self._transport.get_write_buffer_size()

    def write(self, encoded: bytes | memoryview) -> None:
        """Send complete frames."""
        self._transport.write(encoded)
        if self._paused:
            self._unsent.hold(self, self.unsent, encoded)

    def send_text(self, *packets: bytes) -> None:
        """Send packets, each in a frame of its own."""
        self.write(b"".join(map(text_frame, packets)))

    def send_binary(self, data: bytes) -> None:
        """Send a binary message."""
        self.write(text_frame(base64_packet(data)) if self._base64 else binary_frame(data))

    def close(self, code: CloseCode, reason: str = "", *, orderly: bool = True) -> bool:  # noqa: ARG002
        """Begin the closing handshake; a client that does not end it is cut off."""
        self._owner = None
        self._say_goodbye(code, reason)
        return False

    def abort(self) -> None:
        """Cut the connection, whatever is unsent."""
        self._owner = None
        self._going = True
        self._reader.stop()
        self._transport.abort()

    def cut(self) -> None:
        """Cut the connection, because too much is unsent for all clients together."""
        owner = self._owner
        self.abort()
        if owner is not None:
            owner.cut()

    def _finish(self, code: int | None, *, violation: CloseCode | None = None) -> None:
        """Answer the client's close frame, or its violation."""
        self._say_goodbye(code)
        if violation is None:
            self._transport.close()
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.websocket_lost(violation)

    def _say_goodbye(self, code: int | None, reason: str = "") -> None:
        """Send a close frame as the last of all.

        Nothing that comes after it is looked at, not even the client's own close frame: our end of the connection is
        closed behind ours, upon which a client closes the other.
        """
        if self._going or self._transport.is_closing():
            return
        self._going = True
        self._reader.stop()
        self._transport.write(close_frame(code, reason))
        with suppress(OSError):  # asyncio's own loop, where the client is gone already
            self._transport.write_eof()
        self._cutoff = self._closing.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the end, unless it has been reported."""
        super().connection_lost(exc)
        self._going = True
        self._reader.stop()
        if self._cutoff is not None:
            self._cutoff.cancel()
        if self._next_turn is not None:
            self._next_turn.cancel()
        self._unsent.release(self)
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.websocket_lost(None)

    def pause_writing(self) -> None:
        """Pass on."""
        self._paused = True
        if self._owner is not None:
            self._owner.pause_writing()

    def resume_writing(self) -> None:
        """Pass on."""
        self._paused = False
        self._unsent.release(self)
        if self._owner is not None:
            self._owner.resume_writing()
