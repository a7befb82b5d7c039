"""Lists of orders over HTTP: pages with links to the others, and exports of all."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from services.common.cursor import Position
from services.common.documents import dumps
from services.common.fair_turns import FairTurns, Pace, shared_account
from services.front.bodies import LONGEST_TARGET
from services.gateway.audience import Rights
from services.gateway.edge.principal import Principal
from services.gateway.edge.quota import Use
from services.gateway.http.accept import Media, accepted, prefers_events
from services.gateway.http.answers import Epoch, cursor_header, json_response
from services.gateway.http.compression import EncodedStream
from services.gateway.http.export import Exports
from services.gateway.http.limits import costs
from services.gateway.http.paths import COLLECTION
from services.gateway.http.problem_translation import as_problems
from services.gateway.http.problems import Kind, Problem
from services.gateway.http.request_deadline import spent
from services.gateway.in_flight import InFlight
from services.gateway.list_query import DEFAULT_PAGE, ListQuery, parse_query, skips_orders
from services.gateway.list_reading import OrdersPage
from services.gateway.mongodb_gate import MongodbGate
from services.gateway.order_lists import COUNTED, OrderLists
from services.gateway.shared_reads import SharedReads

TOTAL_COUNT = "Total-Count"

# Lists of one address that are read and sent at once: more would be so many connections to MongoDB, and more memory.
LISTS_AT_ONCE = 4
SMALL_LIST = 100  # orders; a longer list costs as much as many reads
SEND_SECONDS = 120.0  # for a client to take all of a list of megabytes; it is kept in memory until then
PIECE = 262_144  # bytes of a list that are sent in one turn of the loop


def _cost(request: web.Request) -> Use:
    """Return what a list costs; one whose ``limit`` is not a number is refused later."""
    if prefers_events(request):
        return Use.EXPENSIVE  # all orders, and a stream
    limit = request.query.get("limit", str(DEFAULT_PAGE))
    is_small = limit.isdecimal() and int(limit[:9]) <= SMALL_LIST and "count" not in request.query
    skips = any(skips_orders(request.query.get(name, "")) for name in ("after", "before"))
    try:
        is_export = accepted(request) is not Media.JSON
    except Problem:  # refused later, too
        is_export = False
    return Use.READS if is_small and not is_export and not skips else Use.EXPENSIVE


class EncodedList(NamedTuple):
    """A list as it is sent, to all who share it; ``encoded`` is empty where only its headers are wanted."""

    encoded: list[bytes]
    size: int
    page: OrdersPage

    @property
    def is_small(self) -> bool:
        """Whether it is sent at once, and takes no memory worth counting."""
        return self.size <= PIECE


class _Asked(NamedTuple):
    query: ListQuery
    rights: Rights
    is_head: bool


class ListsApi:
    """The route of the collection that reads; limited to the rights of the request's principal."""

    def __init__(
        self,
        lists: OrderLists,
        gate: MongodbGate,
        epoch: Epoch,
        account: Callable[[web.BaseRequest], str],
        turns: FairTurns,
        principal: Callable[[web.BaseRequest], Principal],
        follow: Handler | None,
    ) -> None:
        self._lists = lists
        self._gate = gate
        self._epoch = epoch
        self._account = account
        self._turns = turns
        self._principal = principal
        self._follow = follow  # answers those who want the list and its changes as events
        # Hold the slot until the list is sent: it stays in memory until then.
        slots = InFlight(LISTS_AT_ONCE, gate.patience)
        self._shared = SharedReads[_Asked, EncodedList](slots, lambda found: found.is_small)
        self._exports = Exports(lists, gate, self._cursor)

    def routes(self) -> list[web.RouteDef]:
        """Return the route, ready for ``app.add_routes``."""
        return [web.get(COLLECTION, self.list)]

    @costs(_cost)
    async def list(self, request: web.Request) -> web.StreamResponse:
        """Answer one page of orders, all of them where a format for that is asked for, or them and their changes."""
        if self._follow is not None and prefers_events(request):
            return await self._follow(request)
        account = self._account(request)
        with as_problems("query"):
            query = parse_query(request.query.items())
        media = accepted(request)
        rights = self._principal(request).rights
        pace = Pace(self._turns, account)
        if media is not Media.JSON:
            return await self._exports.answer(request, query, media, account, pace, rights)
        asked = _Asked(query, rights, request.method == hdrs.METH_HEAD)
        async with self._shared.reading(asked, account, lambda: self._read(asked, account, request)) as found:
            page = found.page
            headers = {**self._cursor(page.at, rights), **_links(request, query, page), "Vary": "Accept"}
            if page.total is not None:
                headers[TOTAL_COUNT] = str(page.total) if page.total <= COUNTED else f">{COUNTED}"
            if asked.is_head:
                return _headers_only(headers)
            if found.is_small:
                return json_response(b"".join(found.encoded), headers)
            return await _stream(request, found, headers, pace)

    async def _read(self, asked: _Asked, account: str, request: web.Request) -> EncodedList:
        # Not at the expense of one client's account: others wait for the same list.
        pace = Pace(self._turns, shared_account(f"list {hash(asked)}"))
        with as_problems("query"):
            async with self._gate.slot(account, spent(request)):
                page = await self._lists.page(asked.query, pace, asked.rights, is_head=asked.is_head)
        return EncodedList([], 0, page) if asked.is_head else await _encoded(page, pace)

    def _cursor(self, at: int, rights: Rights) -> dict[str, str]:
        return cursor_header(self._epoch(), Position.end_of(at), rights)


def _links(request: web.Request, query: ListQuery, page: OrdersPage) -> dict[str, str]:
    """Return the links to other pages; raise a Problem where the next one's would be longer than what is taken."""
    links = []
    if page.next_after is not None:
        address = _page_at(request, after=page.next_after)
        if len(address) > LONGEST_TARGET:
            detail = "The URL of the next page would be too long: ask for fewer values at once."
            raise Problem(414, Kind.HTTP, detail)
        links.append(f'<{address}>; rel="next"')
    if query.has_links:
        if page.previous_before is not None:
            links.append(f'<{_page_at(request, before=page.previous_before)}>; rel="prev"')
        links.append(f'<{_page_at(request)}>; rel="first"')
    return {"Link": ", ".join(links)} if links else {}


def _page_at(request: web.Request, **mark: str) -> str:
    return str(request.rel_url.without_query_params("after", "before").update_query(mark))


def _headers_only(headers: dict[str, str]) -> web.StreamResponse:
    """Answer HEAD without a length: to know it, the list would have to be encoded."""
    return web.StreamResponse(headers={**headers, "Content-Type": "application/json"})


async def _encoded(page: OrdersPage, pace: Pace) -> EncodedList:
    """Encode the orders, and let others have turns in between where there are megabytes of them."""
    if page.is_small:  # nearly always, and cheaper than one by one
        body = dumps([*page.orders])
        return EncodedList([body], len(body), page)
    encoded, size = [b"["], 2
    for order in page.orders:
        encoded.append(dumps(order) if size == 2 else b"," + dumps(order))
        size += len(encoded[-1])
        await pace.step()
    encoded.append(b"]")
    return EncodedList([b"".join(encoded)] if size <= PIECE else encoded, size, page._replace(orders=[]))


async def _stream(request: web.Request, found: EncodedList, headers: dict[str, str], pace: Pace) -> web.StreamResponse:
    """Answer with megabytes of orders in pieces, between which others have turns."""
    response = EncodedStream(headers={**headers, "Content-Type": "application/json"})
    response.content_length = found.size
    await response.prepare(request)
    try:
        async with asyncio.timeout(SEND_SECONDS):
            for piece in _pieces(found.encoded):
                await pace.begin()
                await response.write(piece)
            await response.write_eof()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()  # so that it is not taken for a whole list
    return response


def _pieces(encoded: Iterable[bytes]) -> Iterator[bytes]:
    piece = bytearray()
    for part in encoded:
        piece += part
        if len(piece) >= PIECE:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)
