"""Lets aiohttp serve a connection: holds received bytes until its account's turn, and sets a deadline for heads.

aiohttp has neither: it reads all connections as they come, and waits without end for a head at one byte a second.
Checked against aiohttp 3.14: it runs ``_handle_request`` in a task of its own, and sends a head that is still in its
buffer in one copy with the body.
"""

import asyncio
from contextlib import suppress
from typing import Any, Protocol

from aiohttp import EMPTY_PAYLOAD, web
from aiohttp.web_protocol import _ErrInfo

from services.common.charged_work import charged
from services.common.fair_turns import FairTurns
from services.front.answered_errors import AnsweredErrors, problem_message
from services.front.bodies import LONGEST_TARGET
from services.front.connections import ConnectionRefusal, Slot
from services.front.handover import SlotHolder
from services.front.heads import LONGEST_HEAD, fault_of
from services.front.refusals import Refusals

_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n" + problem_message(
    "408 Request Timeout", "The request did not arrive in time."
)


_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n" + problem_message(
    "431 Request Header Fields Too Large", "The request cannot be read."
)

# Time that a pass of the loop leaves for each request that it has read: its real cost is not known yet.
REQUEST_SECONDS = 0.0002

LARGE_BODY = 262_144  # bytes of a response, whose copy may take longer than a turn: new memory costs half a ms per MB

# What one turn parses; the rest waits for another. A body in chunks of one byte each costs a microsecond a byte.
BYTES_PER_TURN = 16_384


class UnsentBytes(Protocol):
    """Counts the bytes that wait for slow clients, and cuts some of these off where there are too many."""

    def hold(self, holder: "HttpConnection", waiting: int) -> None:
        """Record how many bytes wait for a client."""

    def release(self, holder: "HttpConnection") -> None:
        """Record that none wait, or that the connection is closed; no effect if there were none."""


class HttpConnection(SlotHolder, AnsweredErrors):
    """aiohttp's own protocol with a slot among the connections.

    Checked against aiohttp 3.14: a request whose head is complete is in `_messages` when `data_received` returns, or an
    `_ErrInfo` instead of a malformed one; `finish_response` ends each request; `_waiter` is set while the connection
    waits for the next request, yet not before its task has begun; `_request_count` is how many requests have come.
    `_reading_paused` and `_buffer_paused` say that aiohttp itself has paused the transport; when it resumes, it calls
    `data_received(b"")` to parse the bytes that it had put aside.
    """

    __slots__ = (
        "_begun",
        "_has_begun",
        "_held",
        "_held_since",
        "_is_unreadable",
        "_refusals",
        "_slot",
        "_turns",
        "_unsent",
        "account",
    )

    def __init__(
        self,
        server: web.Server,
        slot: Slot,
        turns: FairTurns,
        account: str,
        refusals: Refusals,
        unsent: UnsentBytes | None = None,
    ) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **server._kwargs)  # noqa: SLF001
        self._slot: Slot | None = slot
        self._turns = turns
        self.account = account
        self._refusals = refusals
        self._unsent = unsent
        self._held = b""
        self._held_since = 0.0
        self._has_begun = False  # a request, of which only a part has come
        self._begun = 0  # bytes of it
        self._is_unreadable = False
        slot.connection = self

    async def start(self) -> None:
        """Serve the requests, at the expense of the account."""
        await charged(self._turns, self.account, super().start())

    async def _handle_request(self, *args: Any) -> tuple[web.StreamResponse, bool]:
        # In a task of its own, so `start` does not charge for it.
        return await charged(self._turns, self.account, super()._handle_request(*args))

    def data_received(self, data: bytes) -> None:
        """Read on when it is this account's turn; nothing more is taken from the connection before."""
        if not data:  # aiohttp resumes, and parses the bytes that it had put aside
            self._receive(data)
        elif self._held:
            self._held += data
            if self.transport is not None:
                self.transport.pause_reading()  # aiohttp has resumed it
        elif self._is_between and self._refusals.is_due(self.account, data):
            self._refusals.refuse(self.account, self, data)
        elif not self._turns.run(self.account, self.read, data):
            self.hold(data)
            self._turns.add(self.account, self._read_held, self.transport)

    def hold(self, data: bytes) -> None:
        """Keep what has come in until it is the account's turn."""
        self._held, self._held_since = data, self._turns.worked()
        if self.transport is not None:
            self.transport.pause_reading()

    @property
    def _is_between(self) -> bool:
        """Whether what comes next is the beginning of a request, and nobody has a response to write."""
        return self._waiter is not None and not self._messages and not self._has_begun

    def refuse(self, answer: bytes) -> None:
        """Answer a request without parsing it."""
        self._held = b""
        if self.transport is not None:  # else the client has left
            self.transport.resume_reading()
            self.transport.write(answer)

    def _read_held(self) -> None:
        if self._is_between and self._refusals.is_late(
            self.account, self._turns.worked() - self._held_since, self._held
        ):
            self._refusals.now(self)
            return
        held = self.take_held()
        if self.transport is None or not held:
            return  # the client has left, or somebody else has the connection
        if not self._reading_paused and not self._buffer_paused:  # by aiohttp
            self.transport.resume_reading()
        self.read(held)

    def take_held(self) -> bytes:
        """Return what has come in and was not read yet, to the connection's new owner."""
        held, self._held = self._held, b""
        return held

    def read(self, data: bytes) -> None:
        """Read on as far as one turn goes, and let the rest wait for another one."""
        if self._is_unreadable:
            return  # the response closes the connection; aiohttp would report an error for each further piece
        self._parse(data[:BYTES_PER_TURN])
        rest = data[BYTES_PER_TURN:]
        if rest and self.transport is not None:
            self.hold(rest)
            self._turns.add(self.account, self._read_held, self.transport)

    def _parse(self, data: bytes) -> None:
        """Parse it, and see whether a request is complete, or one has begun that may take only so long."""
        self._receive(data)
        self._has_begun = not self._messages and (self._waiter is not None or not self._request_count)
        self._begun = self._begun + len(data) if self._has_begun else 0
        if self._slot is None:
            return
        if self._messages:
            self._turns.expect(REQUEST_SECONDS)
            self._slot.request_complete()
        elif self._begun > LONGEST_TARGET + LONGEST_HEAD:
            self._refuse_unread(_TOO_LARGE)
        elif self._has_begun:
            self._slot.request_begun()

    def _receive(self, data: bytes) -> None:
        """Have aiohttp parse it; of the requests that are complete then, refuse those that are not to be served."""
        first = len(self._messages)
        super().data_received(data)
        for number in range(first, len(self._messages)):
            message = self._messages[number][0]
            if not isinstance(message, _ErrInfo):
                fault = fault_of(message)
                if fault is None:
                    continue
                message = _ErrInfo(400, fault, fault.message)
                self._messages[number] = message, EMPTY_PAYLOAD
            self._is_unreadable = True
            # Its traceback refers to a frame that refers to it, and to 64 KiB of malformed input. Such a cycle stays in
            # memory until the garbage collector runs, which is seldom (`tune_gc`); a client can make hundreds a second.
            message.exc.__traceback__ = message.exc.__context__ = None

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Finish it; where more requests are in the pipeline, each waits for a turn of its own.

        They were read in one turn, hundreds of them perhaps, and aiohttp goes on with the next one at once.
        """
        if isinstance(resp, web.Response) and isinstance(resp.body, bytes) and len(resp.body) > LARGE_BODY:
            with suppress(ConnectionError):  # aiohttp meets it again
                await resp.prepare(request)
                request.writer.send_headers()  # before the body: aiohttp would copy all of it to send both at once
        finished = await super().finish_response(request, resp, start_time)
        if self._messages and self.transport is not None:
            await self._turns.take(self.account)
        return finished

    def connection_lost(self, exc: BaseException | None) -> None:
        """Free the slot."""
        super().connection_lost(exc)
        self._held = b""
        if self._unsent is not None:
            self._unsent.release(self)
        if self._slot is not None:
            self._slot.release()
            self._slot = None

    def pause_writing(self) -> None:
        """Let what is not sent count: an answer of megabytes may wait here for a client that reads nothing."""
        super().pause_writing()
        if self._unsent is not None and self.transport is not None:
            self._unsent.hold(self, self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Let it count no more."""
        super().resume_writing()
        if self._unsent is not None:
            self._unsent.release(self)

    def cut(self) -> None:
        """Cut the connection, because too much is unsent for all clients together."""
        if self.transport is not None:
            self.transport.abort()

    @property
    def is_idle(self) -> bool:
        """Whether it waits for the next request."""
        return self._waiter is not None and not self._messages and not self._held

    def overdue(self) -> ConnectionRefusal:
        """Respond that the request took too long, and close."""
        self._refuse_unread(_TOO_SLOW)
        return ConnectionRefusal.HEAD_TOO_SLOW

    def _refuse_unread(self, answer: bytes) -> None:
        if self.transport is not None:
            self.transport.write(answer)
        self.force_close()

    def evict(self) -> None:
        """Close it at once, even with unsent data."""
        transport = self.transport
        self._slot = None
        self.force_close()
        if transport is not None:
            transport.abort()
