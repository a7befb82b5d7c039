"""One Engine.IO session, independent of its carrier."""

from collections.abc import Callable
from functools import partial

from services.common.deadlines import Entry
from services.common.fair_turns import call_soon
from services.gateway.edge.incidents import DisconnectReason, IncidentKind
from services.gateway.edge.peer import account_of
from services.gateway.edge.principal import Credentials
from services.gateway.engineio.application import Application
from services.gateway.engineio.carrier import Carrier
from services.gateway.engineio.session_owner import SessionOwner, UpgradeAttempt
from services.gateway.wire.engineio import (
    EnginePacket,
    EnginePacketType,
    MalformedEnginePacket,
    binary_of,
    parse_packet,
)
from services.gateway.wire.form import Form
from services.gateway.wire.websocket import CloseCode

Accept = Callable[["Session"], Application]


class Session:
    """A client's session: heartbeat, rate limit, and the link between application and carrier."""

    __slots__ = (
        "_application",
        "_carrier",
        "_heartbeat",
        "_packets_left",
        "_packets_left_at",
        "_pong_awaited",
        "_pong_extended",
        "address",
        "address_paid",
        "credentials",
        "is_open",
        "sessions",
        "sid",
        "subject",
        "upgrade",
        "writable",
    )

    def __init__(self, sessions: SessionOwner, sid: str, address: str, credentials: Credentials) -> None:
        self.sessions = sessions
        self.sid = sid
        self.address = address
        self.address_paid = True  # for the handshake or the latest CONNECT, until a subject has paid in its place
        self.credentials: Credentials | None = credentials  # of the handshake, until they are taken
        self.subject = ""  # once it is known, where clients have one
        self.is_open = True
        self.writable = False
        self.upgrade: UpgradeAttempt | None = None
        self._pong_awaited = self._pong_extended = False
        self._packets_left = float(sessions.settings.packets_burst)
        self._packets_left_at = 0.0

    def start(self, carrier: Carrier, accept: Accept, *, writable: bool) -> None:
        """Start carrying messages."""
        self._carrier = carrier
        self.writable = writable
        self._heartbeat: Entry[Session] = self.sessions.ping_due.add(self)
        self._application = accept(self)

    def take_credentials(self) -> Credentials | None:
        """Return what came with the handshake, the first time; None later."""
        credentials, self.credentials = self.credentials, None
        return credentials

    @property
    def account(self) -> str:
        """What the client's address counts as."""
        return account_of(self.address)

    @property
    def form(self) -> Form:
        """The form that `write` expects: complete websocket frames, or packets joined by the separator for polling."""
        return self._carrier.form

    @property
    def carrier(self) -> Carrier:
        """The current carrier."""
        return self._carrier

    def write(self, encoded: bytes | memoryview) -> None:
        """Send encoded bytes; for the fan-out, which stops while the session is not `writable`."""
        if self.is_open:
            self._carrier.write(encoded)

    def send(self, *messages: bytes) -> None:
        """Send text messages (as UTF-8) to this client only; it is closed if too much is unsent."""
        if self.is_open:
            self._carrier.send_text(*[b"4" + message for message in messages])
            self._bound_unsent()

    def send_binary(self, message: bytes) -> None:
        """Send a binary message to this client only, under the same limit."""
        if self.is_open:
            self._carrier.send_binary(message)
            self._bound_unsent()

    def _bound_unsent(self) -> None:
        """Close the client if too much is unsent, but only after the caller has returned.

        The caller may be about to register the client somewhere: it would register one that is gone.
        """
        if self._carrier.unsent > self.sessions.settings.max_unsent:
            call_soon(self._check_unsent)

    def _check_unsent(self) -> None:
        if self._carrier.unsent > self.sessions.settings.max_unsent:
            self.fail(IncidentKind.SLOW_CONSUMER, CloseCode.POLICY)

    def receive(self, data: str | bytes) -> None:
        """Handle one packet from the client; the rate limit has been checked already."""
        if not self.is_open:
            return
        try:
            packet = parse_packet(data)
        except MalformedEnginePacket:
            self.fail(IncidentKind.MALFORMED_PACKET, CloseCode.PROTOCOL_ERROR)
            return
        if self._pong_awaited and not self._pong_extended and packet.type is not EnginePacketType.PONG:
            # As the reference: a long message in flight must not cost the session. Once, or a client need never pong.
            self._pong_extended = True
            self._beat(pong=True)
        self._dispatch(packet)
        self._check_unsent()  # what answers the packet is part of it: a POST tells how it has ended

    def _dispatch(self, packet: EnginePacket) -> None:
        match packet.type:
            case EnginePacketType.MESSAGE:
                self._application.received(packet.data)
            case EnginePacketType.PONG:
                if self._pong_awaited:
                    self._pong_awaited = False
                    self._beat(pong=False)
            case EnginePacketType.CLOSE:
                self.end(DisconnectReason.TRANSPORT_CLOSE)
            case EnginePacketType.PING:
                self.fail(IncidentKind.MALFORMED_PACKET, CloseCode.PROTOCOL_ERROR)  # since version 4 only servers ping
            case EnginePacketType.OPEN | EnginePacketType.UPGRADE | EnginePacketType.NOOP:
                pass  # the reference ignores them, too

    def count_packet(self) -> bool:
        """Count a packet or frame before it is processed; if it exceeds the rate limit, close and return False."""
        settings, now = self.sessions.settings, self.sessions.now()
        earned = (now - self._packets_left_at) * settings.packets_per_second
        self._packets_left = min(self._packets_left + earned, settings.packets_burst) - 1
        self._packets_left_at = now
        if self._packets_left < 0:
            self.fail(IncidentKind.RATE_EXCEEDED, CloseCode.POLICY)
        return self.is_open

    def _beat(self, *, pong: bool) -> None:
        self._heartbeat.cancel()
        self._heartbeat = (self.sessions.pong_due if pong else self.sessions.ping_due).add(self)

    def ping(self) -> None:
        """Check that the client is still there."""
        self._pong_awaited, self._pong_extended = True, False
        self._heartbeat = self.sessions.pong_due.add(self, after=self._heartbeat)
        self._carrier.send_text(b"2")

    def change_carrier(self, carrier: Carrier, retire: Callable[[], list[bytes]]) -> None:
        """Switch to another carrier, which sends the unsent packets that `retire` returns from the previous one.

        The application's bytes are encoded for one form of carrier, and cached by form for many clients at once. So it
        is paused before the carrier changes, even while it could still write, and resumed afterwards.
        """
        self.pause_writing()
        unsent = retire()
        self._carrier = carrier
        for packet in unsent:
            binary = binary_of(packet)
            if binary is None:
                carrier.send_text(packet)
            else:
                carrier.send_binary(binary)
        if carrier.writable:
            self.resume_writing()
        else:
            self._application.paused()

    def close(self, reason: DisconnectReason, code: CloseCode = CloseCode.NORMAL) -> None:
        """Close from our side; unsent packets are still sent."""
        self._end(reason, partial(self._carrier.close, code, reason, orderly=True))

    def shut_down(self) -> None:
        """Close because the server stops; the client reconnects elsewhere."""
        self.close(DisconnectReason.SHUTTING_DOWN, CloseCode.GOING_AWAY)

    def fail(self, incident: IncidentKind, code: CloseCode) -> None:
        """Close because of the client's behaviour."""
        if self.is_open:
            self.sessions.count(incident)
            reason = _REASONS.get(incident, DisconnectReason.TRANSPORT_ERROR)
            self._end(reason, partial(self._carrier.close, code, incident.value, orderly=False))

    def end(self, reason: DisconnectReason) -> None:
        """End the session because the client has closed it or is gone."""
        self._end(reason, partial(self._carrier.close, CloseCode.NORMAL, "", orderly=False))

    def abort(self, reason: DisconnectReason) -> None:
        """Cut the connection after an error of ours and discard unsent packets; the client reconnects by itself."""
        self._end(reason, self._carrier.abort)

    def cut(self) -> None:
        """Cut off the client, because too much is unsent for all clients together."""
        if self.is_open:
            self.abort(DisconnectReason.SLOW_CONSUMER)
        else:  # it lingers with unfetched packets
            self._carrier.abort()

    def _end(self, reason: DisconnectReason, leave: Callable[[], bool | None]) -> None:
        if not self.is_open:
            return
        self.is_open = self.writable = False
        self._heartbeat.cancel()
        linger = False
        # Whatever fails here, everything that refers to the session must learn that it is over, or it would leak.
        try:
            linger = bool(leave())
        finally:
            try:
                self._application.closed(reason)
            finally:
                self.sessions.closed(self, linger=linger)
                if not linger:
                    self._carrier.forget()
                if self.upgrade is not None:
                    self.upgrade.fail()

    def pause_writing(self) -> None:
        """Pause the application, unless it is paused already."""
        if self.writable:
            self.writable = False
            self._application.paused()

    def resume_writing(self) -> None:
        """Resume the application."""
        if self.is_open and not self.writable:
            self.writable = True
            self._application.resumed()

    def websocket_received(self, message: str | bytes) -> None:
        """Handle one packet."""
        self.receive(message)

    def admit_websocket_frame(self) -> bool:
        """Count the frame."""
        return self.count_packet()

    def websocket_lost(self, violation: CloseCode | None) -> None:
        """End the session with its websocket."""
        if violation is None:
            self.end(DisconnectReason.TRANSPORT_CLOSE)
        else:
            too_big = violation is CloseCode.TOO_BIG
            self.fail(IncidentKind.PAYLOAD_TOO_BIG if too_big else IncidentKind.MALFORMED_PACKET, violation)


# Reasons as the reference server names them, for handlers that compare with those.
_REASONS = {
    IncidentKind.PING_TIMEOUT: DisconnectReason.PING_TIMEOUT,
    IncidentKind.MALFORMED_PACKET: DisconnectReason.PARSE_ERROR,
}
