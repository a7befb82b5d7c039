"""Carries a session over HTTP: a GET is held until there are packets, a POST brings the client's packets."""

import asyncio
from collections.abc import Callable

from aiohttp import web

from services.common.fair_turns import Pace
from services.gateway.edge.body import BodyBroken, BodyTooLarge, BodyTooSlow, read_body
from services.gateway.edge.connection_watch import ConnectionWatch
from services.gateway.edge.incidents import DisconnectReason, IncidentKind
from services.gateway.edge.media_type import media_type
from services.gateway.engineio.rejection import ErrorCode, Rejected
from services.gateway.engineio.request_times import RequestTimes
from services.gateway.engineio.session import Session
from services.gateway.wire.engineio import (
    SEPARATOR,
    EnginePacketType,
    MalformedEnginePacket,
    base64_packet,
    split_payload,
)
from services.gateway.wire.form import Form
from services.gateway.wire.websocket import CloseCode

_NO_STORE = {"Cache-Control": "no-store"}
_CLOSE = EnginePacketType.CLOSE.encode()
_NOOP = EnginePacketType.NOOP.encode()
# Prefixes of the user agents of browsers and of the stock client in Node.
_BROWSERS = ("Mozilla/", "node-XMLHttpRequest")


class _Unread(Exception):
    """A part of the body is unread, so the connection cannot be reused."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Polling:
    """Unsent packets wait in `_unsent` for the next GET.

    From `poll_buffer` bytes on, the application is paused until a GET has fetched them; the session bounds its own
    packets in the meantime.
    """

    __slots__ = ("_gets", "_holding", "_poll", "_posting", "_posts", "_session", "_size", "_unsent")

    form = Form.POLLING
    descriptor = None

    def __init__(self, session: Session) -> None:
        self._session = session
        self._unsent: list[bytes] = []
        self._size = 0
        self._poll: asyncio.Future[None] | None = None
        self._posting = False
        self._holding = True
        self._gets = RequestTimes()
        self._posts = RequestTimes()

    @property
    def writable(self) -> bool:
        """Whether a GET would have room for more."""
        return self._size < self._session.sessions.settings.poll_buffer

    @property
    def unsent(self) -> int:
        """How many bytes wait to be fetched."""
        return self._size

    def send_text(self, *packets: bytes) -> None:
        """Send packets."""
        self.write(SEPARATOR.join(packets))

    def send_binary(self, data: bytes) -> None:
        """Send a binary message."""
        self.write(base64_packet(data))

    def write(self, encoded: bytes | memoryview) -> None:
        """Send packets that are joined by the separator."""
        self._unsent += bytes(encoded).split(SEPARATOR)
        self._size += len(encoded) + 1
        self._note_unsent()
        self._answer()
        if not self.writable:
            self._session.pause_writing()

    def _note_unsent(self) -> None:
        sessions = self._session.sessions
        unsent = sessions.unsent
        # Not for a forgotten session: its last response may be built after that, and nothing would release the rest.
        if self._size and self._poll is None and sessions.holds(self._session):
            unsent.hold(self._session, self._size)
        else:
            unsent.release(self._session)

    def _answer(self) -> None:
        # The request's own task takes the unsent packets one turn of the loop later: more may be added until then.
        if self._poll is not None and not self._poll.done():
            self._poll.set_result(None)

    async def get(self, request: web.BaseRequest) -> web.Response:
        """Answer with the unsent packets, or as soon as there are some."""
        if self._poll is not None:
            self._session.fail(IncidentKind.OVERLAPPING_REQUESTS, CloseCode.POLICY)
            return web.Response(status=400)
        if self._gets.is_repeated(request):
            return self._refuse_repeated()
        self._poll = asyncio.get_running_loop().create_future()
        most = self._most_packets(request)
        if len(self._unsent) < most:
            self._fill()
        if self._unsent:
            self._answer()
        try:
            with ConnectionWatch(request, self._gone):
                await self._poll
        except asyncio.CancelledError:
            self._gone()
            raise
        return self._payload(most)

    def _most_packets(self, request: web.BaseRequest) -> int:
        settings = self._session.sessions.settings
        browser = request.headers.get("User-Agent", "").startswith(_BROWSERS)
        return settings.max_packets_per_poll_of_browser if browser else settings.max_packets_per_poll

    def _fill(self) -> None:
        """Let more packets be added: the application's, or a close or a noop."""
        if not self._session.is_open:
            self.write(_CLOSE)
            self._session.sessions.closed(self._session, linger=False)
        elif self._holding:
            self._session.resume_writing()
        elif not self._unsent:
            self.write(_NOOP)

    def _payload(self, most: int) -> web.Response:
        self._poll = None
        body = SEPARATOR.join(self._unsent[:most])
        del self._unsent[:most]
        self._size = max(self._size - len(body) - 1, 0) if self._unsent else 0
        self._note_unsent()
        if not self._session.sessions.holds(self._session):
            self.forget()
        if self._session.carrier is self:
            self._session.pause_writing()
        return web.Response(body=body, content_type="text/plain", charset="UTF-8", headers=_NO_STORE)

    def _gone(self) -> None:
        if self._session.carrier is self:
            self._session.end(DisconnectReason.TRANSPORT_CLOSE)
        self._answer()

    async def post(self, request: web.Request, pace: Pace) -> web.Response:
        """Receive the packets of one request, as many in a turn of the loop as there is time for."""
        if self._posting:
            self._session.fail(IncidentKind.OVERLAPPING_REQUESTS, CloseCode.POLICY)
            return web.Response(status=400)
        if media_type(request).name == "application/octet-stream":
            self._session.fail(IncidentKind.MALFORMED_PACKET, CloseCode.PROTOCOL_ERROR)
            return web.Response(status=400)
        if self._posts.is_repeated(request):
            return self._refuse_repeated()
        self._posting = True
        try:
            return await self._receive(await self._body(request), pace)
        except _Unread as unread:
            response = web.Response(status=unread.status)
            response.force_close()
            return response
        finally:
            self._posting = False

    def _refuse_repeated(self) -> web.Response:
        """End the session: its client comes back with its cursor, and gets what was lost."""
        self._session.fail(IncidentKind.REPEATED_REQUESTS, CloseCode.POLICY)
        return Rejected(ErrorCode.BAD_REQUEST).response(upgrade=False)

    async def _body(self, request: web.Request) -> bytes:
        settings = self._session.sessions.settings
        try:
            return await read_body(request, limit=settings.max_payload, deadline=settings.body_timeout)
        except BodyTooLarge:
            self._session.sessions.count(IncidentKind.PAYLOAD_TOO_BIG)
            raise _Unread(413) from None
        except BodyTooSlow:
            self._session.fail(IncidentKind.BODY_TOO_SLOW, CloseCode.POLICY)
            raise _Unread(408) from None
        except BodyBroken:
            self._session.end(DisconnectReason.TRANSPORT_CLOSE)
            raise _Unread(400) from None

    async def _receive(self, body: bytes, pace: Pace) -> web.Response:
        await pace.begin()
        try:
            for packet in split_payload(body):
                if self._session.carrier is not self:  # it was upgraded before the turn came
                    raise Rejected(ErrorCode.BAD_REQUEST)
                if packet == EnginePacketType.CLOSE:
                    self._leave()
                    break
                if not self._session.count_packet():
                    return Rejected(ErrorCode.BAD_REQUEST).response(upgrade=False)
                self._session.receive(packet)
                await pace.step()
            else:
                if not self._session.is_open:  # the reason has been counted already
                    return Rejected(ErrorCode.BAD_REQUEST).response(upgrade=False)
        except MalformedEnginePacket:
            self._session.fail(IncidentKind.MALFORMED_PACKET, CloseCode.PROTOCOL_ERROR)
            return Rejected(ErrorCode.BAD_REQUEST).response(upgrade=False)
        return web.Response(text="ok", content_type="text/html", headers=_NO_STORE)

    def _leave(self) -> None:
        if self._poll is not None:
            self.write(_NOOP)
        self._session.end(DisconnectReason.TRANSPORT_CLOSE)

    def close(self, code: CloseCode, reason: str, *, orderly: bool) -> bool:  # noqa: ARG002
        """Answer the held GET; return whether the session is to linger, so that a last one can fetch the rest."""
        if self._poll is None or self._poll.done():
            return orderly
        self.write(_CLOSE)
        return False

    def abort(self) -> None:
        """Answer the held GET without the unsent packets."""
        self._unsent.clear()
        self._size = 0
        if self._poll is not None:
            self.write(_CLOSE)

    def forget(self) -> None:
        """Discard the packets that no GET will fetch; one that is held takes its own first.

        A session and its polling refer to each other, so both stay until the garbage collector runs, which is seldom.
        """
        if self._poll is None:
            self._unsent.clear()
            self._size = 0

    def when_gone(self, do: Callable[[], None]) -> None:
        """Do it at once: the connections of requests are counted for themselves."""
        do()

    def release_polls(self) -> None:
        """Stop holding GETs, so that the client can leave polling."""
        self._holding = False
        if self._poll is not None and not self._unsent:
            self.write(_NOOP)

    def hold_polls(self) -> None:
        """Hold GETs again."""
        self._holding = True

    def retire(self) -> list[bytes]:
        """Return the unsent packets and stop carrying."""
        unsent = [packet for packet in self._unsent if packet != _NOOP]
        self._unsent.clear()
        self._size = 0
        self._note_unsent()
        if self._poll is not None:  # released by the probe, and not yet answered
            self.write(_NOOP)
        return unsent
