"""One listening client: greets, and then compares the bytes it gets with the reference of its group."""

import asyncio
import socket
from collections.abc import Callable
from typing import cast

from bench.load.greetings import PONG, Greeting
from bench.load.reference import Reference
from bench.load.stamped import StampedReader

# Engine.IO's ping as a whole websocket frame. In JSON neither 0x81 nor 0x01 can occur, so it cannot be mistaken.
PING = b"\x81\x012"


class Client(asyncio.Protocol):
    """A client. ``at`` is its position in its reference; ``changed`` is called when it is live, and when it is lost."""

    __slots__ = (
        "_arrived",
        "_changed",
        "_reader",
        "_received",
        "_timing",
        "_transport",
        "at",
        "greeting",
        "live",
        "lost",
        "reference",
        "unexpected",
    )

    def __init__(self, greeting: Greeting, reference: Reference, at: int, changed: Callable[["Client"], None]) -> None:
        self.greeting = greeting
        self._received = bytearray()
        self._changed = changed
        self.reference = reference
        self.at = at
        self.live = self.lost = self._timing = False
        self._reader: StampedReader | None = None
        self._arrived = 0.0
        self.unexpected = b""  # the first bytes that differ from the reference

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self.greeting.request())

    def begin(self, *, timing: bool) -> None:
        """Begin at the start of the reference; where ``timing``, note when each event came in."""
        self.at, self._timing = 0, timing
        if timing and self._reader is None:
            self._reader = StampedReader(self._transport, self._take)

    def _take(self, data: bytes, arrived: float) -> None:
        self._arrived = arrived
        self.data_received(data)

    def data_received(self, data: bytes) -> None:
        if not self.live:
            self._greet(data)
            return
        at, reference = self.at, self.reference.data
        end = at + len(data)
        if end <= len(reference):
            if not reference.startswith(data, at):
                self._differs(data)
                return
        elif (b"\x81" in data and (PING in data or data[-2:].find(b"\x81") >= 0)) or self._received:
            self._differs(data)
            return
        else:
            known = len(reference) - at
            if not reference.startswith(data[:known], at):
                self._differs(data)
                return
            reference += data[known:]
        self.at = end
        if self._timing:
            self._note(at)

    def _note(self, at: int) -> None:
        self.reference.arrivals.extend((at, self.at, self._arrived))

    def _differs(self, data: bytes) -> None:
        """Answer pings, which come at a different place in each client, and compare the rest."""
        self._received += data
        while (found := self._received.find(PING)) >= 0:
            del self._received[found : found + len(PING)]
            self._transport.write(PONG)
        whole = bytes(self._received)
        keep = 2 if whole.endswith(b"\x81\x01") else 1 if whole.endswith(b"\x81") else 0
        whole, self._received = whole[: len(whole) - keep], bytearray(whole[len(whole) - keep :])
        reference = self.reference.data
        known = len(reference) - self.at
        if reference.startswith(whole[:known], self.at):
            reference += whole[known:]
            at, self.at = self.at, self.at + len(whole)
            if self._timing and whole:
                self._note(at)
        elif not self.unexpected:
            self.unexpected = whole[:300] or b"nothing"

    def _greet(self, data: bytes) -> None:
        self._received += data
        while True:
            before = len(self._received)
            answer = self.greeting.answer(self._received)
            if answer is None:
                self.live = True
                self._changed(self)
                rest, self._received = self.greeting.early + self._received, bytearray()
                if rest:
                    self.data_received(rest)
                return
            if answer:
                self._transport.write(answer)
            if len(self._received) == before:
                return

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.lost = True
        self._close_reader()
        self._changed(self)

    def stop_reading(self) -> None:
        """Stall, with a small buffer, so that the kernel does not hide it from the server for megabytes."""
        self._close_reader()
        self._transport.pause_reading()
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    def acknowledge_when_read(self) -> None:
        """Leave TCP's interactive mode, in which every second segment is acknowledged as it comes in.

        On the loopback device that happens in the sender's time, and whether a connection is in that mode is chance.
        """
        if hasattr(socket, "TCP_QUICKACK"):  # Linux
            self._transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def abort(self) -> None:
        self._close_reader()
        self._transport.abort()

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
