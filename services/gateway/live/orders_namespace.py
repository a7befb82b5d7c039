"""The orders over Socket.IO: the default namespace, where every client is told each change."""

import asyncio
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from services.common.cursor import Cursor, Position
from services.common.deadlines import Deadlines
from services.gateway.edge.limits import Count, Incident, OnDisconnect
from services.gateway.edge.peer import account_of
from services.gateway.filters import EVERYTHING, NOTHING, Interest, InvalidFilter, parse_filter, union
from services.gateway.live.client import LiveClient, own_event
from services.gateway.live.connect_request import ConnectRequest, arrival
from services.gateway.recovery import SessionIds
from services.gateway.socketio.server import Ack, ConnectionRefused, Namespace, Socket
from services.gateway.stream import Stream
from services.gateway.subscription import Located, Mode
from services.gateway.wire.socketio import Argument

MARK_SECONDS = 20.0


class LiveOrders(Namespace[LiveClient]):
    """To clients: `connected`, `orderUpdate`, `resync`, `status`, `subscribed`, `mark`; from them: `(un)subscribe`."""

    def __init__(
        self,
        stream: Stream,
        ids: SessionIds,
        server: str,
        count: Count,
        left: OnDisconnect,
        *,
        stall: float = 30.0,
        ready_timeout: float = 10.0,
    ) -> None:
        self._hub = stream.hub
        self._stream = stream
        self._here = stream.here
        self._ready = stream.ready
        self._ids = ids
        self._server = server
        self._count = count
        self._left = left
        self._ready_timeout = ready_timeout
        self._stalls: Deadlines[LiveClient] = Deadlines(stall, self._drop)
        self._clients: set[LiveClient] = set()

    def connect(
        self, socket: Socket[LiveClient], auth: Mapping[str, Argument]
    ) -> Mapping[str, object] | Awaitable[Mapping[str, object]]:
        """Find the client's place in the stream; recover its session where it brings one."""
        asked = arrival(auth, self._ids)
        located = self._locate_now(asked) if self._ready.is_set() else None
        # Nearly always there is nothing to wait for, and then no task to be made: thousands may come back at once.
        return self._locate(socket, asked) if located is None else self._admit(socket, asked, located)

    async def _locate(self, socket: Socket[LiveClient], asked: ConnectRequest) -> Mapping[str, object]:
        try:
            async with asyncio.timeout(self._ready_timeout):
                await self._ready.wait()
        except TimeoutError:
            socket.close("the stream is not there yet")  # the client comes back by itself
            raise ConnectionRefused("the stream is not there yet") from None
        located = self._locate_now(asked)
        if located is None and asked.since is not None:
            located = await self._stream.locate(asked.since, account_of(socket.address))
        return self._admit(socket, asked, located or self._now(asked))

    def _locate_now(self, asked: ConnectRequest) -> Located | None:
        return self._now(asked) if asked.since is None else self._stream.locate_now(asked.since)

    def _now(self, asked: ConnectRequest) -> Located:
        return Located(self._here().position, asked.reason)

    def _admit(self, socket: Socket[LiveClient], asked: ConnectRequest, located: Located) -> Mapping[str, object]:
        recovered = asked.pid is not None and located.reason is None
        socket.state = LiveClient(socket, self._hub, self._stalls, asked.interest, located)
        return {"pid": asked.pid if recovered else self._ids.issue()}

    def greeting(self, socket: Socket[LiveClient]) -> tuple[str, Sequence[object]]:
        """Tell the client who it is, and where in the stream."""
        fields = {"id": socket.sid, "server": self._server}
        return "connected", own_event(fields, self._cursor(socket.state.located.position), socket.state.interest)

    def connected(self, socket: Socket[LiveClient]) -> None:
        """Begin; what the client has missed follows at once."""
        client = socket.state
        interest, located = client.interest, client.located
        if located.reason is not None:
            client.resync(located.reason, self._cursor(located.position))
        self._clients.add(client)
        client.start(self._hub.subscribe(client, interest, located.position, account_of(socket.address)))

    def event(self, socket: Socket[LiveClient], name: str, args: Sequence[Argument], ack: Ack | None) -> None:
        """Change what the client sees; the answer is an object, with ``error`` where it was refused."""
        subscription = socket.state.subscription
        if subscription is None:
            return
        try:
            interest = _changed(subscription.interest, name, args)
        except InvalidFilter as error:
            if ack is not None:
                ack({"error": {"field": error.field, "message": str(error)}})
            return
        self._hub.change_interest(subscription, interest)
        # The position is fixed before the client is told: from here on nothing is missed.
        cursor = self._cursor(self._hub.position(subscription))
        socket.state.emit("subscribed", {"filters": len(interest)}, cursor, interest)
        if ack is not None:
            ack({"cursor": str(cursor)})

    def disconnected(self, socket: Socket[LiveClient], reason: str) -> None:
        """Forget the client."""
        socket.state.leave()
        self._clients.discard(socket.state)
        self._left(socket.form, reason)

    def _cursor(self, position: Position) -> Cursor:
        return Cursor(self._here().epoch, position)

    def _drop(self, client: LiveClient) -> None:
        self._count(Incident.SLOW_CONSUMER)
        client.drop()

    @contextmanager
    def stopping(self) -> Iterator[None]:
        """Wait for no client any more in the end."""
        try:
            yield
        finally:
            self._stalls.close()

    async def mark_always(self) -> None:
        """Until cancelled, tell clients whose filter lets little through how far the stream is.

        Else what they recover with would grow old, and one day be out of reach, although they have missed nothing.
        """
        last: Cursor | None = None
        while True:
            await asyncio.sleep(MARK_SECONDS)
            if not self._ready.is_set() or self._here() == last:
                continue
            last = here = self._here()
            for client in list(self._clients):
                subscription = client.subscription
                if subscription is not None and subscription.mode is Mode.LIVE and subscription.interest != EVERYTHING:
                    with self._hub.isolating(subscription):
                        client.emit("mark", {}, here, subscription.interest)


def _changed(interest: Interest, name: str, args: Sequence[Argument]) -> Interest:
    """Return the interest after `subscribe(filter)`, `unsubscribe(filter)` or `unsubscribe()`."""
    asked = parse_filter(args[0]) if args and args[0] is not None else None
    match name:
        case "subscribe":
            if asked is None:
                return EVERYTHING
            return union({asked} if interest == EVERYTHING else {*interest, asked})
        case "unsubscribe":
            return NOTHING if asked is None else interest - {asked}
        case _:
            raise InvalidFilter(f"there is no event {name[:40]!r} here, only subscribe and unsubscribe")
