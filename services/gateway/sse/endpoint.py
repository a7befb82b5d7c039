"""Serves the stream of changes as Server-Sent Events: `GET /api/orders/events`."""

import asyncio
import random
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from aiohttp import hdrs, web
from aiohttp.http import HttpVersion11
from aiohttp_sse import EventSourceResponse

from services.common.cursor import Cursor, InvalidCursor
from services.common.deadlines import Deadlines
from services.common.documents import Json, dumps
from services.common.fair_turns import OWN, Pace
from services.gateway.edge.lifetime import Lifetime
from services.gateway.edge.limits import Count, DisconnectReason, Incident, OnDisconnect
from services.gateway.edge.principal import Principal
from services.gateway.edge.registry import NotAdmitted, Registry
from services.gateway.edge.takeover import TakenOver, take_over
from services.gateway.edge.unsent import Unsent
from services.gateway.http.identity import STREAM, anyone
from services.gateway.http.problems import Kind, Problem
from services.gateway.sse.query import StreamQuery, parse_query
from services.gateway.sse.stream import SseStream
from services.gateway.stream import Stream
from services.gateway.subscription import ResumePoint, ResyncReason
from services.gateway.wire import sse
from services.gateway.wire.form import Form

# A compressing proxy buffers until it has enough, on a quiet stream for ever: `no-transform` forbids it (RFC 9111,
# 5.2.2.6). nginx heeds only `X-Accel-Buffering: no`, which aiohttp-sse sends: it compresses, but forwards at once.
_UNTOUCHED = {hdrs.CACHE_CONTROL: "no-cache, no-transform"}

_STILL_HERE = sse.comment("still here")


@dataclass(frozen=True, slots=True, kw_only=True)
class SseSettings:
    """Times are in seconds, sizes in bytes."""

    heartbeat: float = 15.0
    retry: float = 1.0  # clients wait between this and twice this before they reconnect: no stampede
    stall: float = 30.0  # a client that reads nothing for so long is dropped
    ready: float = 10.0  # how long to wait for the first reply from Redis


class SseTransport:
    """The SSE clients of this gateway."""

    def __init__(
        self,
        stream: Stream,
        registry: Registry,
        account: Callable[[web.BaseRequest], str],
        server: str,
        count: Count,
        left: OnDisconnect,
        settings: SseSettings,
        unsent: Unsent,
        *,
        principal: Callable[[web.BaseRequest], Principal] = anyone,
    ) -> None:
        self._principal = principal
        self._hub = stream.hub
        self._locate = stream.locate
        self._current_cursor = stream.current_cursor
        self._ready = stream.ready
        self._turns = stream.turns
        self._registry = registry
        self._account = account
        self._server = server
        self._count = count
        self._left = left
        self._settings = settings
        self._unsent = unsent
        self._stalls: Deadlines[SseStream] = Deadlines(settings.stall, self._drop)
        self._streams: dict[SseStream, str] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return the route, ready for ``app.add_routes``."""
        return [web.get(STREAM, self.open)]

    def __len__(self) -> int:
        return len(self._streams)

    async def open(self, request: web.Request) -> web.StreamResponse:
        """Open a stream: `connected` first, then every later change that fits the query's filter and the rights."""
        query = parse_query(request)
        principal = self._principal(request)
        account = self._account(request)
        self._enter(account)
        taken = False
        try:
            # services/front sets the TCP timeout for unread data; one set here would fire before we count the client.
            response = EventSourceResponse(send_timeout=None, allow_all_methods=True)
            response.headers.update(_UNTOUCHED)
            await response.prepare(request)
            response.stop_streaming()  # its own heartbeat: one timer serves all streams here
            if request.method == hdrs.METH_HEAD:
                return response
            async with asyncio.timeout(self._settings.ready):
                await self._ready.wait()
            resume_point = await self._locate_cursor(query.since, account)
            chunked = request.version >= HttpVersion11
            form = Form.SSE if chunked else Form.SSE_PLAIN
            stream = SseStream(
                form, self._hub, self._stalls, self._forget, self._retry, self._unsent, secrets.token_urlsafe(12)
            )
            taken = take_over(request, stream) is not None
            if taken:
                self._streams[stream] = account
                self._registry.add(stream.shut_down)
                self._begin(stream, query, resume_point, principal)
            return TakenOver(200)
        except TimeoutError:
            return response  # no reply from Redis yet: the client reconnects
        finally:
            if not taken:
                self._registry.leave(account)

    def _begin(self, stream: SseStream, query: StreamQuery, resume_point: ResumePoint, principal: Principal) -> None:
        here = self._current_cursor()
        cursor = Cursor(here.epoch, resume_point.position)
        hello: Json = {"id": stream.client, "cursor": str(cursor), "server": self._server}
        position, account = resume_point.position, self._streams[stream]
        subscription = self._hub.subscribe(stream, query.interest, position, account, principal.rights)
        with self._hub.isolating(subscription):
            stream.send(self._retry() + sse.event("connected", dumps(hello), str(cursor)))
            if resume_point.reason is not None:
                incident = self._hub.resyncs.one(resume_point.reason, stream.client, account, query.since)
                stream.resync(resume_point.reason, cursor, incident)
            stream.start(subscription)
        if principal.expires_at is not None and stream in self._streams:
            stream.lifetime = Lifetime(
                principal.expires_at, stream.warn, lambda: stream.end_because(DisconnectReason.TOKEN_EXPIRED)
            )

    async def _locate_cursor(self, since: str | None, account: str) -> ResumePoint:
        if not since:
            return ResumePoint(self._current_cursor().position, None)
        try:
            return await self._locate(Cursor.parse(since), account)
        except InvalidCursor:
            return ResumePoint(self._current_cursor().position, ResyncReason.INVALID_CURSOR)

    def _retry(self) -> bytes:
        return sse.retry(int(self._settings.retry * random.uniform(1, 2) * 1000))

    def _enter(self, account: str) -> None:
        try:
            self._registry.enter(account)
        except NotAdmitted as refusal:
            self._count(refusal.incident)
            status = 429 if refusal.incident is Incident.TOO_MANY_FROM_ADDRESS else 503
            detail = "There is no room for one more stream."
            raise Problem(status, Kind.HTTP, detail, headers={hdrs.RETRY_AFTER: "5"}) from refusal

    def _forget(self, stream: SseStream) -> None:
        account = self._streams.pop(stream, None)
        if account is not None:
            self._registry.remove(stream.shut_down)
            self._registry.leave(account)
            self._left(stream.form, stream.reason)

    def _drop(self, stream: SseStream) -> None:
        self._count(Incident.SLOW_CONSUMER)
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
            mark = self._mark()
            pace = Pace(self._turns, OWN)
            await pace.begin()
            for stream in list(self._streams):
                if stream.subscription is not None and stream in self._streams:
                    with self._hub.isolating(stream.subscription):
                        stream.beat(mark, _STILL_HERE)
                if await pace.step():  # meanwhile the others may have been sent later changes than the mark
                    mark = self._mark()

    def _mark(self) -> bytes:
        return sse.mark(str(self._current_cursor())) if self._ready.is_set() else _STILL_HERE
