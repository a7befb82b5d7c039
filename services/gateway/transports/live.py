"""The orders over Socket.IO: the default namespace, where every client is told each change."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from services.common.cursor import Cursor, Position
from services.gateway.filters import EVERYTHING, NOTHING, Interest, InvalidFilter, parse_filter, union
from services.gateway.group import offset_suffix
from services.gateway.hub import Hub
from services.gateway.recovery import SessionIds
from services.gateway.stream import Stream
from services.gateway.subscription import Located, Mode, Subscription
from services.gateway.transports.arrival import Arrival, arrival
from services.gateway.transports.deadlines import Deadlines, Entry
from services.gateway.transports.limits import Count, Incident, Left
from services.gateway.transports.socketio import Ack, ConnectionRefused, Namespace, Socket
from services.gateway.wire.form import Form
from services.gateway.wire.socketio import Argument

MARK_SECONDS = 20.0


def own_event(fields: Mapping[str, object], cursor: Cursor, interest: Interest) -> Sequence[object]:
    """Return the arguments of an event of the gateway's own; the trailing one is what the client recovers with."""
    return {**fields, "cursor": str(cursor)}, f"{cursor}{offset_suffix(interest)}"


class LiveClient:
    """One client: the hub's outlet, and the ear for whether its connection takes data."""

    __slots__ = ("_hub", "_socket", "_stall", "_stalls", "interest", "located", "subscription")

    def __init__(
        self,
        socket: "Socket[LiveClient]",
        hub: Hub,
        stalls: "Deadlines[LiveClient]",
        interest: Interest,
        located: Located,
    ) -> None:
        self._socket = socket
        self._hub = hub
        self._stalls = stalls
        self._stall: Entry[LiveClient] | None = None
        self.interest = interest
        self.located = located
        self.subscription: Subscription | None = None

    @property
    def form(self) -> Form:
        """How events are to be encoded."""
        return self._socket.form

    @property
    def write(self) -> Callable[[bytes], None]:
        """Send complete encoded events."""
        return self._socket.writer

    def emit(self, name: str, fields: Mapping[str, object], cursor: Cursor, interest: Interest) -> None:
        """Send an event of the gateway's own."""
        self._socket.emit(name, *own_event(fields, cursor, interest))

    def resync(self, reason: str, cursor: Cursor) -> None:
        """Tell the client to load anew."""
        interest = self.interest if self.subscription is None else self.subscription.interest
        self.emit("resync", {"reason": reason}, cursor, interest)

    def status(self, stale: str | None, cursor: Cursor) -> None:
        """Tell the client whether what it sees may be old."""
        interest = self.interest if self.subscription is None else self.subscription.interest
        self.emit("status", {"stale": stale is not None, "reason": stale}, cursor, interest)

    def start(self, subscription: Subscription) -> None:
        """Begin to take events, as soon as the connection does."""
        self.subscription = subscription
        self._socket.flow = self
        if self._socket.writable:
            self._hub.resume(subscription)
        else:
            self.paused()

    def paused(self) -> None:
        """Too much is unsent. Polling pauses between any two requests; whether it still asks, pings find out."""
        if self.subscription is None:
            return
        self._hub.pause(self.subscription)
        if self.form is Form.WEBSOCKET and self._stall is None:
            self._stall = self._stalls.add(self)

    def resumed(self) -> None:
        """The client takes data again, perhaps in another form."""
        self._relax()
        if self.subscription is not None:
            self._hub.resume(self.subscription)

    def drop(self) -> None:
        """Close the connection of a client that has read nothing for long."""
        self._stall = None
        self._socket.close("slow consumer")

    def leave(self) -> None:
        """Forget the client."""
        self._relax()
        if self.subscription is not None:
            self._hub.unsubscribe(self.subscription)

    def _relax(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None


class LiveOrders(Namespace[LiveClient]):
    """To clients: `connected`, `orderUpdate`, `resync`, `status`, `subscribed`, `mark`; from them: `(un)subscribe`."""

    def __init__(
        self,
        stream: Stream,
        ids: SessionIds,
        server: str,
        count: Count,
        left: Left,
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

    async def _locate(self, socket: Socket[LiveClient], asked: Arrival) -> Mapping[str, object]:
        try:
            async with asyncio.timeout(self._ready_timeout):
                await self._ready.wait()
        except TimeoutError:
            socket.close("the stream is not there yet")  # the client comes back by itself
            raise ConnectionRefused("the stream is not there yet") from None
        located = self._locate_now(asked)
        if located is None and asked.since is not None:
            located = await self._stream.locate(asked.since)
        return self._admit(socket, asked, located or self._now(asked))

    def _locate_now(self, asked: Arrival) -> Located | None:
        return self._now(asked) if asked.since is None else self._stream.locate_now(asked.since)

    def _now(self, asked: Arrival) -> Located:
        return Located(self._here().position, asked.reason)

    def _admit(self, socket: Socket[LiveClient], asked: Arrival, located: Located) -> Mapping[str, object]:
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
        if self._hub.stale is not None:
            client.status(self._hub.stale, self._cursor(located.position))
        self._clients.add(client)
        client.start(self._hub.subscribe(client, interest, located.position))

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
        self._left(socket.form, reason)
        self._clients.discard(socket.state)
        socket.state.leave()

    def _cursor(self, position: Position) -> Cursor:
        return Cursor(self._here().epoch, position)

    def _drop(self, client: LiveClient) -> None:
        self._count(Incident.SLOW_CONSUMER)
        client.drop()

    @asynccontextmanager
    async def marking(self) -> AsyncIterator[None]:
        """Meanwhile, tell clients whose filter lets little through how far the stream is.

        Else what they recover with would grow old, and one day be out of reach, although they have missed nothing.
        """
        task = asyncio.create_task(self._mark_always())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._stalls.close()

    async def _mark_always(self) -> None:
        last: Cursor | None = None
        while True:
            await asyncio.sleep(MARK_SECONDS)
            if not self._ready.is_set() or self._here() == last:
                continue
            last = here = self._here()
            for client in list(self._clients):
                subscription = client.subscription
                if subscription is not None and subscription.mode is Mode.LIVE and subscription.interest != EVERYTHING:
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
