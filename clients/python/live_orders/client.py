"""The orders of a gateway: a copy that stays exact, its changes one by one, and writes."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from types import MappingProxyType
from typing import Any, Self

import aiohttp

from live_orders.changes import Change, Order
from live_orders.copy_state import Phase, Status
from live_orders.errors import AccessEnded, HistoryLost, LiveOrdersError
from live_orders.place import Place
from live_orders.server import Server, Token
from live_orders.socketio_stream import over_socketio
from live_orders.sse_stream import over_sse
from live_orders.stream import Connect, Lost, Stream, StreamEvent, Target
from live_orders.transport_choice import Transport
from live_orders.view import Rows, View
from live_orders.whole_copy import WholeCopy
from live_orders.window import Window
from live_orders.window_copy import WindowCopy
from live_orders.writes import COLLECTION, Filter, PendingWrite, Writes

EVENTS = f"{COLLECTION}/events"
_PARAMETERS = {"ids": "id", "status": "status", "customer_name": "customer_name"}

Listener = Callable[[View], None]

log = logging.getLogger("live_orders")


class LiveOrders:
    """The orders at a URL, all or those that fit a filter; to be used by ``async with``.

    ``filter``, or the same as keyword arguments: `ids`, `status` and `customer_name`, each with a text or several.
    ``window``: a copy of some orders of a sorted list only.
    ``token``: one, or a function (or coroutine function) that gives one and is called again when it expires.
    ``transports``: those that may be used, the preferred one first; `websocket` and `polling` need python-socketio.
    ``write_patience``: for how many seconds a write is repeated whose outcome is unknown.

    The copy is loaded when it is first asked for: by `live`, `subscribe` or `watch`.
    """

    def __init__(
        self,
        url: str,
        *,
        filter: Mapping[str, str | Sequence[str]] | None = None,
        window: Window | None = None,
        token: Token = None,
        transports: Sequence[Transport | str] = (Transport.SSE,),
        write_patience: float = 60.0,
        **fields: str | Sequence[str],
    ) -> None:
        self._url = url
        self._token = token
        self._wanted = _wanted({**(filter or {}), **fields})
        self._write_patience = write_patience
        self._window = window
        self._transports = [Transport(each) for each in transports]
        if not self._transports:
            raise LiveOrdersError("transports: there must be one")
        self._listeners: list[Listener] = []
        self._news = asyncio.Event()
        self._copying: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        self._server = Server(self._url, self._session, self._token)
        self._writes = Writes(
            self._server, self._wanted, self._write_patience, lambda: self._copying is not None, self._announce
        )
        self._kept: WholeCopy | WindowCopy = (
            WholeCopy(self._server, COLLECTION)
            if self._window is None
            else WindowCopy(self._server, COLLECTION, self._query(), self._window, self._announce)
        )
        self._stream = self._stream_of(self._kept.path, self._kept.since, self._lost)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._copying is not None:
            self._copying.cancel()
            await asyncio.gather(self._copying, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    @property
    def rows(self) -> Rows:
        """The orders as they are now, by their ids."""
        return self._kept.rows(self._writes.shown)

    @property
    def copy(self) -> Mapping[str, Order]:
        """The orders as the database has them at `cursor`, without our own writes."""
        return MappingProxyType(self._kept.state.rows)

    @property
    def status(self) -> Status:
        """How far `rows` can be trusted."""
        return self._kept.state.status

    @property
    def cursor(self) -> str | None:
        """The position of the copy; `changes` can go on from it, in another process too."""
        return self._kept.state.cursor

    @property
    def pending(self) -> tuple[PendingWrite, ...]:
        """Our own writes that the copy does not include yet."""
        return self._writes.pending

    @property
    def transport(self) -> Transport:
        """The transport that the copy comes over."""
        return self._stream.transport

    def use(self, transport: Transport | str) -> None:
        """Go on over another of the transports, without a gap; where it is not to be had, over the next."""
        self._stream.use(Transport(transport))

    async def settled(self) -> None:
        """Return as soon as the copy includes all our writes of before, or has ended."""
        keys = {each.key for each in self.pending}
        while self.status.phase is not Phase.ENDED and any(each.key in keys for each in self.pending):
            self._copy()
            self._news.clear()
            await self._news.wait()

    async def live(self) -> Self:
        """Return as soon as the copy is exact; raise what ended it (AccessEnded, Refused) where it never will be."""
        self._copy()
        while self.status.phase is not Phase.LIVE:
            if self._copying is not None and self._copying.done():
                await self._copying
                raise AccessEnded(self.status.reason or "ended")
            self._news.clear()
            await self._news.wait()
        return self

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call the listener with a View now and after everything that changes it; return what ends that."""
        self._listeners.append(listener)
        self._copy()
        _call(listener, View(self.rows, self.status))
        return partial(self._forget, listener)

    async def watch(self) -> AsyncIterator[View]:
        """Return a View now and whenever it has changed, the last one when the copy has ended.

        A slow reader skips some, and so never falls behind: these views have no `change`.
        """
        seen = asyncio.Event()
        seen.set()
        end = self.subscribe(lambda _: seen.set())
        try:
            while True:
                await seen.wait()
                seen.clear()
                view = View(self.rows, self.status)
                yield view
                if view.status.phase is Phase.ENDED:
                    return
        finally:
            end()

    async def changes(self, since: str | None = None) -> AsyncIterator[Change]:
        """Return every change after a cursor (without one: from now on), each once and in commit order, for ever.

        Save the `cursor` of each change with what you make of it, and go on from there after a crash. Raise HistoryLost
        where that is impossible, AccessEnded, and Refused.
        """
        stream = self._stream_of(f"{COLLECTION}/events", since, lambda _: None)
        async with aclosing(stream.events()) as events:
            async for event in events:
                if event.name == "orderUpdate":
                    yield Change.of(event.told)
                elif event.name == "resync":
                    raise HistoryLost(event.told["reason"], event.told["cursor"])

    async def create(self, fields: Mapping[str, Any]) -> Order:
        """Create an order and return it as stored; raise Refused, OutcomeUnknown or AccessEnded."""
        return await self._writes.create(fields)

    async def update(self, id: str, fields: Mapping[str, Any], *, if_match: str | None = None) -> Order:
        """Change some fields of an order and return it as stored; `rows` shows it at once.

        ``if_match``: the `ETag` that it must still have. Raise Refused (`rows` is as before), OutcomeUnknown or
        AccessEnded.
        """
        return await self._writes.change(id, fields, self.rows.get(id), if_match)

    async def delete(self, id: str, *, if_match: str | None = None) -> Order:
        """Delete an order and return what it was, as `update` does."""
        return await self._writes.delete(id, if_match)

    async def next_place(self) -> Place | None:
        """Return the place below the window's last order, as the list is now: another window can begin after it.

        None: there is no order below. It waits while the server cannot answer.
        """
        if not isinstance(self._kept, WindowCopy):
            raise LiveOrdersError("next_place: there is no window")
        return await self._kept.next_place()

    def _forget(self, listener: Listener) -> None:
        if listener in self._listeners:
            self._listeners.remove(listener)

    def _query(self) -> list[tuple[str, str]]:
        return [(_PARAMETERS[field], value) for field, values in self._wanted.items() for value in values]

    def _copy(self) -> None:
        if self._copying is None:
            self._copying = asyncio.create_task(self._keep_copy(), name="the copy of the orders")

    def _stream_of(self, path: str, since: str | None, lost: Lost) -> Stream:
        target = Target(path, self._query(), self._wanted, since)
        return Stream(self._server, target, {each: self._way(each) for each in self._transports}, lost)

    def _way(self, transport: Transport) -> Connect:
        return over_sse(self._server) if transport is Transport.SSE else over_socketio(self._server, transport)

    async def _keep_copy(self) -> None:
        try:
            async with aclosing(self._stream.events()) as events:
                async for event in events:
                    await self._take(event)
        except Exception as error:  # whatever it is: a copy that has ended must not look as if it went on
            self._kept.state.end(error.reason if isinstance(error, AccessEnded) else str(error))
            self._announce()
            raise

    def _lost(self, why: str | None) -> None:
        self._kept.state.doubt("network", why)
        self._announce()

    async def _take(self, event: StreamEvent) -> None:
        if event.name == "status":
            self._kept.state.doubt("server", event.told["reason"] if event.told["stale"] else None)
            self._announce()
            return
        news = await self._kept.take(event)
        if news is not None:
            self._announce(news.change, reloaded=news.reloaded)

    def _announce(self, change: Change | None = None, *, reloaded: bool = False) -> None:
        self._writes.settle(self._kept.state.position)  # the stream may be quicker than the answer to a write
        self._news.set()
        view = View(self.rows, self.status, change, reloaded)
        for listener in tuple(self._listeners):
            _call(listener, view)


def _call(listener: Listener, view: View) -> None:
    try:
        listener(view)
    except Exception:  # an error of one listener must not end the copy for the others
        log.exception("A listener failed")


def _wanted(filter: Mapping[str, str | Sequence[str]]) -> Filter:
    unknown = sorted(filter.keys() - _PARAMETERS.keys())
    if unknown:
        raise LiveOrdersError(f"There is no filter {unknown[0]!r}, only {', '.join(sorted(_PARAMETERS))}")
    return {field: (value,) if isinstance(value, str) else tuple(value) for field, value in filter.items()}
