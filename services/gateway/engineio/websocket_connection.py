"""Carries messages over a websocket on a bare asyncio transport: no task, no queue."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, cast

from services.common.deadlines import Deadlines, Entry
from services.common.fair_turns import FairTurns
from services.front.connections import State
from services.front.handover import Successor
from services.gateway.edge.descriptor import unbuffered_descriptor
from services.gateway.edge.unsent import Unsent
from services.gateway.wire.engineio import base64_packet
from services.gateway.wire.form import Form
from services.gateway.wire.frame_reader import Close, FrameReader, Ping, Violation
from services.gateway.wire.websocket import CloseCode, binary_frame, close_frame, pong_frame, text_frame


class Owner(Protocol):
    """The session or upgrade that a websocket reports to."""

    def websocket_received(self, message: str | bytes) -> None:
        """Handle one message."""

    def admit_websocket_frame(self) -> bool:
        """Count a frame of any kind before it is processed; return whether it may be read."""

    def websocket_lost(self, violation: CloseCode | None) -> None:
        """Handle the end of the connection; `violation` if the client broke the protocol. Called at most once."""

    def cut(self) -> None:
        """Handle that the websocket was cut off, because too much is unsent for all clients together."""

    def pause_writing(self) -> None:
        """Apply backpressure: bytes are unsent because the client reads too slowly."""

    def resume_writing(self) -> None:
        """Lift backpressure: everything has been sent."""


# One client's share of one turn of the loop. The rest of its data waits, and nothing more is read from it.
FRAMES_PER_TURN = 16
BYTES_PER_TURN = 65_536

# Data that may be in flight when we close, and is dropped; after more, nothing is read until the client is cut off.
DROPPED_BYTES = 65_536


class WebSocketConnection(Successor):
    """One websocket after its handshake."""

    __slots__ = (
        "_base64",
        "_closing",
        "_cutoff",
        "_dropped",
        "_is_closing",
        "_is_waiting",
        "_owner",
        "_paused",
        "_reader",
        "_transport",
        "_turns",
        "_unsent",
        "_when_gone",
        "account",
        "descriptor",
    )

    form = Form.WEBSOCKET
    state = State.WEBSOCKET

    def __init__(
        self,
        max_payload: int,
        closing: "Deadlines[WebSocketConnection]",
        unsent: Unsent,
        turns: FairTurns,
        account: str,
        *,
        base64: bool = False,
    ) -> None:
        super().__init__()
        self._turns = turns
        self.account = account
        self._closing = closing
        self._unsent = unsent
        self._reader = FrameReader(max_payload)
        self._owner: Owner | None = None
        self._cutoff: Entry[WebSocketConnection] | None = None
        self._when_gone: Callable[[], None] | None = None
        self._dropped = 0
        self._base64 = base64
        self._is_closing = self._is_waiting = self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self.descriptor = unbuffered_descriptor(self._transport)

    def set_owner(self, owner: Owner) -> None:
        """Report to `owner` from now on."""
        self._owner = owner

    def data_received(self, data: bytes) -> None:
        """Process the frames when it is this account's turn; nothing more is taken from the connection before."""
        if self._is_closing:
            self._drop(len(data))
            return
        self._reader.feed(data)
        if self._is_waiting:
            self._transport.pause_reading()
        elif not self._turns.run(self.account, self._read_batch):
            self._await_turn()

    def _await_turn(self) -> None:
        self._is_waiting = True
        self._transport.pause_reading()
        self._turns.add(self.account, self._continue_reading, self._transport)

    def _continue_reading(self) -> None:
        self._is_waiting = False
        if not self._transport.is_closing():
            self._transport.resume_reading()
        self._read_batch()

    def _read_batch(self) -> None:
        """Read the frames of one turn, and wait for another one if more data is left."""
        unread = self._reader.unread
        last = max(unread - BYTES_PER_TURN, 0)
        for _ in range(FRAMES_PER_TURN):
            if not self._read_frame():
                return
            unread = self._reader.unread
            if unread <= last:
                break
        if unread > 0:
            self._await_turn()

    def _read_frame(self) -> bool:
        """Count and read one frame; return False where there is no complete one, or reading must stop."""
        reader, owner = self._reader, self._owner
        if owner is None or (reader.next_frame() and not owner.admit_websocket_frame()) or not reader.is_complete:
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
        """Start the closing handshake; a client that does not complete it is cut off."""
        self._owner = None
        self._send_close(code, reason)
        return False

    def dismiss(self) -> None:
        """Send a close frame and close at once: without a session it counts against no limit, so it must not linger."""
        self._owner = None
        self._send_close(CloseCode.NORMAL)
        self._transport.close()

    def abort(self) -> None:
        """Cut the connection and discard unsent bytes."""
        self._owner = None
        self._is_closing = True
        self._reader.stop()
        self._transport.abort()

    def forget(self) -> None:
        """Do nothing: what is unsent goes with the connection."""

    def when_gone(self, do: Callable[[], None]) -> None:
        """Call ``do`` in `connection_lost`: a client that does not answer our close holds the connection until then."""
        self._when_gone = do

    def cut(self) -> None:
        """Cut the connection, because too much is unsent for all clients together."""
        owner = self._owner
        self.abort()
        if owner is not None:
            owner.cut()

    def _finish(self, code: int | None, *, violation: CloseCode | None = None) -> None:
        """Answer the client's close frame, or its violation."""
        self._send_close(code)
        if violation is None:
            self._transport.close()
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.websocket_lost(violation)

    def _send_close(self, code: int | None, reason: str = "") -> None:
        """Send a close frame as the last frame.

        Nothing that arrives afterwards is processed, not even the client's own close frame: we half-close the
        connection after ours, upon which the client closes its half.
        """
        if self._is_closing or self._transport.is_closing():
            return
        self._is_closing = True
        self._reader.stop()
        self._transport.write(close_frame(code, reason))
        with suppress(OSError):  # asyncio's own loop raises it if the client is gone already
            self._transport.write_eof()
        self._cutoff = self._closing.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the end, unless it has been reported."""
        super().connection_lost(exc)
        self._is_closing = True
        self._reader.stop()
        if self._cutoff is not None:
            self._cutoff.cancel()
        self._unsent.release(self)
        owner, self._owner = self._owner, None
        try:
            if owner is not None:
                owner.websocket_lost(None)
        finally:
            gone, self._when_gone = self._when_gone, None
            if gone is not None:
                gone()

    def pause_writing(self) -> None:
        """Report backpressure to the owner."""
        self._paused = True
        if self._owner is not None:
            self._owner.pause_writing()

    def resume_writing(self) -> None:
        """Report to the owner that everything has been sent."""
        self._paused = False
        self._unsent.release(self)
        if self._owner is not None:
            self._owner.resume_writing()
