"""One Socket.IO connection: the sockets of its namespaces, and the dispatch of their packets."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from operator import attrgetter
from typing import Any, cast

from services.common.deadlines import Deadlines, Entry
from services.common.random_text import random_text
from services.gateway.edge.incidents import DisconnectReason, IncidentKind
from services.gateway.engineio.application import Application
from services.gateway.engineio.session import Session
from services.gateway.socketio.namespace import Ack, ConnectionRefused, Extra, Namespace
from services.gateway.socketio.serial_queue import Call, SerialQueue
from services.gateway.socketio.socket import Socket, send_packets
from services.gateway.wire.socketio import (
    Argument,
    MalformedSocketPacket,
    PacketLimits,
    SocketPacket,
    SocketPacketType,
    ack_packets,
    attach,
    connect_error_packet,
    connect_packet,
    event_packets,
    parse_packet,
)
from services.gateway.wire.websocket import CloseCode

Namespaces = Mapping[str, Namespace[Any]]

_is_connected = attrgetter("is_connected")


class SocketConnection(Application):
    """The Socket.IO protocol over one Engine.IO session."""

    __slots__ = (
        "_attachments",
        "_deadline",
        "_deadlines",
        "_failed",
        "_namespaces",
        "_packet",
        "_session",
        "_size",
        "_sockets",
    )

    def __init__(
        self,
        session: Session,
        namespaces: Namespaces,
        deadlines: "Deadlines[SocketConnection]",
        failed: Callable[[Exception], None],
    ) -> None:
        self._session = session
        self._failed = failed
        self._namespaces = namespaces
        self._sockets: dict[str, Socket[Any]] = {}
        self._packet: SocketPacket | None = None  # waits for attachments
        self._attachments: list[bytes] = []
        self._size = 0  # of the incoming packet with its attachments
        self._deadlines = deadlines
        self._deadline: Entry[SocketConnection] = deadlines.add(self)

    def overdue(self) -> None:
        """Close a connection that has joined no namespace in time, or sent half a packet."""
        self._session.fail(IncidentKind.CONNECT_TIMEOUT, CloseCode.POLICY)

    def received(self, message: str | bytes) -> None:
        """Handle a packet, or an attachment of the previous one."""
        try:
            packet = self._take_text(message) if isinstance(message, str) else self._take_attachment(message)
            self._size += len(message)
            if packet is not None:
                size, self._size = self._size, 0
                self._dispatch(packet, size)
        except MalformedSocketPacket:
            self._session.fail(IncidentKind.MALFORMED_PACKET, CloseCode.PROTOCOL_ERROR)

    def _take_text(self, text: str) -> SocketPacket | None:
        if self._packet is not None:
            raise MalformedSocketPacket("text where an attachment was due")
        settings = self._session.sessions.settings
        packet = parse_packet(text, PacketLimits(settings.max_attachments, settings.max_depth))
        if not packet.attachments:
            return packet
        self._packet = packet
        self._restart_deadline()
        return None

    def _take_attachment(self, data: bytes) -> SocketPacket | None:
        packet = self._packet
        if packet is None:
            raise MalformedSocketPacket("attachment of nothing")
        self._attachments.append(data)
        if sum(map(len, self._attachments)) > self._session.sessions.settings.max_payload:
            raise MalformedSocketPacket("attachments too big")
        if len(self._attachments) < packet.attachments:
            return None
        attachments, self._attachments, self._packet = self._attachments, [], None
        self._restart_deadline()
        return packet._replace(data=attach(packet.data, attachments))

    def _restart_deadline(self) -> None:
        self._deadline.cancel()
        if self._packet is not None or not any(map(_is_connected, self._sockets.values())):
            self._deadline = self._deadlines.add(self)

    def _dispatch(self, packet: SocketPacket, size: int) -> None:
        socket = self._sockets.get(packet.namespace)
        if packet.type is SocketPacketType.CONNECT:
            if socket is None:
                self._connect(packet.namespace, cast("Mapping[str, Argument]", packet.data or {}))
            elif socket.is_connected:
                raise MalformedSocketPacket("connected already")
            return  # a socket that is being admitted will get its reply
        if socket is None or not socket.is_connected:
            raise MalformedSocketPacket("not connected")
        match packet.type:
            case SocketPacketType.EVENT | SocketPacketType.BINARY_EVENT:
                self._event(socket, packet, size)
            case SocketPacketType.DISCONNECT:
                self._gone(socket, DisconnectReason.CLIENT_LEFT)
            case _:
                pass  # an ACK: we never ask for one

    def _connect(self, name: str, auth: Mapping[str, Argument]) -> None:
        namespace = self._namespaces.get(name)
        if namespace is None:
            self._session.send(connect_error_packet(name, "Invalid namespace"))
            return
        settings = self._session.sessions.settings
        inbox = SerialQueue(settings.max_queued_events, settings.max_payload)
        socket: Socket[Any] = Socket(self._session, name, random_text(15), inbox, self._gone)
        self._sockets[name] = socket
        ask = partial(namespace.connect, socket, auth)
        inbox.put(Call(ask, partial(self._fail_to_connect, socket), partial(self._admit, namespace, socket)))

    def _admit(self, namespace: Namespace[Any], socket: Socket[Any], extra: Extra | None) -> Awaitable[None] | None:
        if self._sockets.get(socket.namespace) is not socket:
            return None  # the connection was closed while the application was deciding
        reply = connect_packet(socket.namespace, socket.sid, extra)
        greeting = namespace.greeting(socket)
        socket.is_connected = True
        self._restart_deadline()
        self._session.send(reply, *([] if greeting is None else event_packets(socket.namespace, *greeting)))
        return namespace.started(socket)

    def _fail_to_connect(self, socket: Socket[Any], error: Exception) -> None:
        if socket.is_connected:  # `started` failed, so the client is only half set up
            self._failed(error)
            self._session.abort(DisconnectReason.SERVER_ERROR)
            return
        self._sockets.pop(socket.namespace, None)
        if isinstance(error, ConnectionRefused):
            self._session.send(connect_error_packet(socket.namespace, error.message, error.data))
        else:
            self._failed(error)
            self._session.send(connect_error_packet(socket.namespace, "Internal server error"))

    def _event(self, socket: Socket[Any], packet: SocketPacket, size: int) -> None:
        name, *args = cast("list[Argument]", packet.data)
        ack = None if packet.id is None else self._ack(socket, packet.id)
        event = self._namespaces[socket.namespace].event
        if not socket.inbox.put(Call(partial(event, socket, str(name), args, ack), self._failed, size=size)):
            self._session.fail(IncidentKind.TOO_MANY_EVENTS, CloseCode.POLICY)

    def _ack(self, socket: Socket[Any], id: int) -> Ack:
        pending = [id]

        def ack(*args: object) -> None:
            if pending and socket.is_connected:
                send_packets(self._session, ack_packets(socket.namespace, pending.pop(), args))

        return ack

    def _gone(self, socket: Socket[Any], reason: DisconnectReason) -> None:
        del self._sockets[socket.namespace]
        self._leave(socket, reason)
        if self._session.is_open and not self._sockets:
            self._restart_deadline()

    def _leave(self, socket: Socket[Any], reason: DisconnectReason) -> None:
        socket.inbox.cancel()
        if socket.is_connected:
            socket.is_connected = False
            try:
                self._namespaces[socket.namespace].disconnected(socket, reason)
            except Exception as error:  # noqa: BLE001 - the other namespaces must still be notified
                self._failed(error)

    def closed(self, reason: DisconnectReason) -> None:
        """Notify every namespace."""
        self._deadline.cancel()
        sockets = list(self._sockets.values())
        self._sockets.clear()
        for socket in sockets:
            self._leave(socket, reason)

    def paused(self) -> None:
        """Pause the flows of all sockets."""
        for socket in self._sockets.values():
            if socket.flow is not None:
                socket.flow.paused()

    def resumed(self) -> None:
        """Resume the flows of all sockets."""
        for socket in list(self._sockets.values()):
            if socket.flow is not None:
                socket.flow.resumed()
