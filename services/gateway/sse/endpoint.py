"""Serves the stream of changes as Server-Sent Events: `GET /api/orders/events`, and after a list `GET /api/orders`."""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from aiohttp import hdrs, web
from aiohttp.http import HttpVersion11
from aiohttp_sse import EventSourceResponse

from services.common.cursor import Cursor, InvalidCursor
from services.common.deadlines import Deadlines
from services.common.documents import Json, dumps
from services.common.fair_turns import INTERNAL, Pace
from services.common.random_text import random_text
from services.common.visible_fields import ALL_FIELDS, VisibleFields
from services.gateway.audience import view_of
from services.gateway.edge.authenticator import Authenticator
from services.gateway.edge.incidents import Count, DisconnectReason, IncidentKind, OnDisconnect
from services.gateway.edge.lifetime import Lifetime
from services.gateway.edge.principal import Principal
from services.gateway.edge.quota import Standing, Use
from services.gateway.edge.registry import NotAdmitted, Registry
from services.gateway.edge.takeover import AlreadyAnswered, take_over
from services.gateway.edge.unsent import Unsent
from services.gateway.http.identity import anyone
from services.gateway.http.limits import costs
from services.gateway.http.paths import STREAM
from services.gateway.http.problems import Kind, Problem
from services.gateway.snapshot_chunk import INSIDE
from services.gateway.snapshot_stream import SnapshotStream
from services.gateway.sse.query import StreamQuery, parse_query
from services.gateway.sse.settings import SseSettings
from services.gateway.sse.stream import SseStream
from services.gateway.stream import Stream
from services.gateway.subscription import ResumePoint, ResyncReason
from services.gateway.wire import sse
from services.gateway.wire.form import Form

# A compressing proxy buffers until it has enough, on a quiet stream for ever: `no-transform` forbids it (RFC 9111,
# 5.2.2.6). nginx heeds only `X-Accel-Buffering: no`, which aiohttp-sse sends: it compresses, but forwards at once.
_UNTOUCHED = {hdrs.CACHE_CONTROL: "no-cache, no-transform"}


class _Owner(NamedTuple):
    """The account and the subject that a stream counts against."""

    account: str
    subject: str


class SseTransport:
    """The SSE clients of this gateway."""

    def __init__(
        self,
        stream: Stream,
        registry: Registry,
        account: Callable[[web.BaseRequest], str],
        server: str,
        count: Count,
        on_disconnect: OnDisconnect,
        settings: SseSettings,
        unsent: Unsent,
        *,
        principal: Callable[[web.BaseRequest], Principal] = anyone,
        charge: Callable[[web.BaseRequest, Use], Standing | None] = lambda _request, _use: None,
        visible: VisibleFields = ALL_FIELDS,
        authenticator: Authenticator | None = None,
    ) -> None:
        self._visible = visible
        self._principal = principal
        self._charge = charge
        self._authenticator = authenticator
        self._hub = stream.hub
        self._locate = stream.locate
        self._locate_now = stream.locate_now
        self._current_cursor = stream.current_cursor
        self._ready = stream.ready
        self._turns = stream.turns
        self._snapshots = stream.snapshots
        self._registry = registry
        self._account = account
        self._server = server
        self._count = count
        self._on_disconnect = on_disconnect
        self._settings = settings
        self._unsent = unsent
        self._stalls: Deadlines[SseStream] = Deadlines(settings.stall, self._drop)
        self._streams: dict[SseStream, _Owner] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return the route, ready for ``app.add_routes``."""
        return [web.get(STREAM, self.open)]

    def __len__(self) -> int:
        return len(self._streams)

    @costs(Use.HANDSHAKES)
    async def open(self, request: web.Request) -> web.StreamResponse:
        """Open a stream: `connected` first, then every later change that fits the query's filter and the rights."""
        return await self._open(request, parse_query(request, self._visible), shows_orders=False)

    async def open_list(self, request: web.Request) -> web.StreamResponse:
        """Open a stream that shows the orders themselves before their changes, unless it is resumed after them."""
        return await self._open(request, parse_query(request, self._visible, of_list=True), shows_orders=True)

    async def _open(self, request: web.Request, query: StreamQuery, *, shows_orders: bool) -> web.StreamResponse:
        principal = self._principal(request)
        owner = _Owner(self._account(request), principal.subject)
        self._enter(owner)
        taken = False
        try:
            # services/front sets the TCP timeout for unread data; one set here would fire before we count the client.
            response = EventSourceResponse(send_timeout=None, allow_all_methods=True)
            response.headers.update(_UNTOUCHED)
            await response.prepare(request)
            # Stop aiohttp-sse's ping: it is a task for each stream, while `send_heartbeats` serves all streams with one
            # timer. Checked against aiohttp-sse 3.0: this ends nothing else.
            response.stop_streaming()
            if request.method == hdrs.METH_HEAD:
                return response
            async with asyncio.timeout(self._settings.ready):
                await self._ready.wait()
            if shows_orders and query.since == INSIDE:
                query = query._replace(since=None)
            resume_point = await self._locate_cursor(query.since, request, view_of(principal.rights))
            chunked = request.version >= HttpVersion11
            form = Form.SSE if chunked else Form.SSE_PLAIN
            client = random_text(12)
            stream = SseStream(
                form, self._hub, self._stalls, self._forget, self._retry, self._unsent, owner.account, client
            )
            taken = take_over(request, stream) is not None
            if taken:
                self._streams[stream] = owner
                self._registry.add(stream.shut_down)
                self._begin(stream, query, resume_point, principal, shows_orders=shows_orders)
            return AlreadyAnswered(200)
        except TimeoutError:
            return response  # no reply from Redis yet: the client reconnects
        finally:
            if not taken:
                self._registry.leave(*owner)

    def _begin(
        self,
        stream: SseStream,
        query: StreamQuery,
        resume_point: ResumePoint,
        principal: Principal,
        *,
        shows_orders: bool,
    ) -> None:
        here = self._current_cursor()
        cursor = Cursor(here.epoch, resume_point.position, view_of(principal.rights))
        reason = resume_point.reason
        is_shown = shows_orders and (not query.since or reason is not None)
        # A client that comes back with what it has now must not miss the orders that it was about to be shown.
        since = INSIDE if is_shown else str(cursor)
        hello: Json = {"id": stream.client, "cursor": since, "server": self._server}
        position, account = resume_point.position, self._streams[stream].account
        subscription = self._hub.subscribe(stream, query.interest, position, account, principal.rights)
        if shows_orders:
            stream.snapshot = SnapshotStream(self._snapshots, subscription, stream, query.limit)
        with self._hub.isolating(subscription):
            stream.send(self._retry() + sse.event("connected", dumps(hello), since))
            if reason is not None:
                stream.resync(reason, cursor, self._hub.resyncs.one(reason, stream.client, account, query.since))
            elif is_shown and stream.snapshot is not None:
                stream.snapshot.start()
            stream.start(subscription)
        if principal.expires_at is not None and stream in self._streams:
            stream.lifetime = Lifetime(
                principal.expires_at, stream.warn, partial(stream.end_because, DisconnectReason.TOKEN_EXPIRED)
            )
        if self._authenticator is not None and stream in self._streams:
            stream.bearer = self._authenticator.keep(
                principal, partial(stream.end_because, DisconnectReason.TOKEN_REVOKED)
            )

    async def _locate_cursor(self, since: str | None, request: web.Request, view: str) -> ResumePoint:
        if not since:
            return ResumePoint(self._current_cursor().position, None)
        try:
            cursor = Cursor.parse(since)
        except InvalidCursor:
            return ResumePoint(self._current_cursor().position, ResyncReason.INVALID_CURSOR)
        if cursor.view != view:
            return ResumePoint(self._current_cursor().position, ResyncReason.RIGHTS_CHANGED)
        return self._locate_now(cursor) or await self._locate_deep(cursor, request)

    async def _locate_deep(self, cursor: Cursor, request: web.Request) -> ResumePoint:
        standing = self._charge(request, Use.DEEP_RESUMES)
        if standing is None or standing.is_allowed:
            return await self._locate(cursor, self._account(request))
        return ResumePoint(self._current_cursor().position, ResyncReason.TOO_MANY_REPLAYS)

    def _retry(self) -> bytes:
        return sse.retry(int(self._settings.retry * random.uniform(1, 2) * 1000))

    def _enter(self, owner: _Owner) -> None:
        try:
            self._registry.enter(*owner)
        except NotAdmitted as refusal:
            self._count(refusal.incident)
            own = {IncidentKind.TOO_MANY_FROM_ADDRESS, IncidentKind.TOO_MANY_OF_SUBJECT}
            status = 429 if refusal.incident in own else 503
            detail = "There is no room for one more stream."
            raise Problem(status, Kind.HTTP, detail, headers={"Retry-After": str(refusal.retry_after)}) from refusal

    def _forget(self, stream: SseStream) -> None:
        owner = self._streams.pop(stream, None)
        if owner is not None:
            self._registry.remove(stream.shut_down)
            self._registry.leave(*owner)
            self._on_disconnect(stream.form, stream.reason)

    def _drop(self, stream: SseStream) -> None:
        self._count(IncidentKind.SLOW_CONSUMER)
        stream.abort(DisconnectReason.SLOW_CONSUMER)

    @contextmanager
    def stopping(self) -> Iterator[None]:
        """Cut off the remaining streams at the end."""
        try:
            yield
        finally:
            self._stalls.close()
            for stream in list(self._streams):
                stream.abort(DisconnectReason.SHUTTING_DOWN)

    async def send_heartbeats(self) -> None:
        """Send heartbeats until cancelled."""
        while True:
            await asyncio.sleep(self._settings.heartbeat)
            pace = Pace(self._turns, INTERNAL)
            await pace.begin()
            for stream in list(self._streams):
                if stream.subscription is not None and stream in self._streams:
                    with self._hub.isolating(stream.subscription):
                        stream.beat(self._here())
                await pace.step()

    def _here(self) -> Cursor | None:
        return self._current_cursor() if self._ready.is_set() else None
