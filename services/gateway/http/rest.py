"""The orders over HTTP: list, read, create, change, delete."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from urllib.parse import quote, unquote

from aiohttp import hdrs, web

from services.common.cursor import Cursor, Position
from services.common.documents import Json, dumps
from services.common.fair_turns import FairTurns, Pace
from services.front.bodies import LONGEST_TARGET
from services.gateway.edge.principal import Principal, Scope
from services.gateway.http.body import read_json
from services.gateway.http.identity import anyone
from services.gateway.http.problem_translation import as_problems
from services.gateway.http.problems import Kind, Problem
from services.gateway.in_flight import InFlight
from services.gateway.orders import FieldFault, InvalidInput, parse_change, parse_id, parse_new, parse_query
from services.gateway.store import OrdersPage, OrderStore, Written

COLLECTION = "/api/orders"
ONE = "/api/orders/{id:(?!events$)[^/]+}"  # not the stream of events, which has other methods
STREAM_CURSOR = "Stream-Cursor"
EXPOSED_HEADERS = (STREAM_CURSOR, "Link", "Location", "Retry-After")

# Lists of one address that are read and sent at once: more would be so many connections to MongoDB, and more memory.
LISTS_AT_ONCE = 4
# Orders of one address that are created at once while another one makes requests too: MongoDB is busy with them.
CREATIONS_AT_ONCE = 4
SEND_SECONDS = 120.0  # for a client to take all of a list of megabytes; it is kept in memory until then
PIECE = 262_144  # bytes of a list that are sent in one turn of the loop


class OrdersApi:
    """The five routes of an order's life.

    Every answer carries the header ``Stream-Cursor`` where it is known. On a read it marks the end of the snapshot
    that the answer shows: a client that follows the stream from there gets every later change and none twice. On a
    write it is the change's own place: once the stream has passed it, the change has been announced.

    Every route is limited to the rights of the request's principal.
    """

    def __init__(
        self,
        store: OrderStore,
        epoch: Callable[[], str | None],
        *,
        body_limit: int = 64 * 1024,
        body_deadline: float = 30.0,
        account: Callable[[web.BaseRequest], str] = lambda request: request.remote or "",
        turns: FairTurns | None = None,
        principal: Callable[[web.BaseRequest], Principal] = anyone,
    ) -> None:
        self._store = store
        self._principal = principal
        self._epoch = epoch
        self._body_limit = body_limit
        self._body_deadline = body_deadline
        self._account = account
        self.turns = FairTurns() if turns is None else turns
        self._lists = InFlight(LISTS_AT_ONCE)
        self._creations = InFlight(CREATIONS_AT_ONCE)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, ready for ``app.add_routes``."""
        return [
            web.get(COLLECTION, self.list),
            web.post(COLLECTION, self.create),
            web.get(ONE, self.get),
            web.put(ONE, self.update),
            web.delete(ONE, self.delete),
        ]

    async def list(self, request: web.Request) -> web.StreamResponse:
        """Answer one page of orders, newest first; ``Link: rel="next"`` leads to the page below."""
        account = self._asked_by(request)
        with as_problems("query"):
            query = parse_query(request.query.items())
        pace = Pace(self.turns, account)
        async with self._lists.slot(account):  # until it is sent: so long it takes memory
            with as_problems("query"):
                page = await self._store.page(query, pace, self._principal(request).rights)
            headers = self._after_snapshot(page.at)
            if page.next_after is not None:
                headers["Link"] = f'<{_following(request, page.next_after)}>; rel="next"'
            return await _list(request, page, headers, pace)

    async def get(self, request: web.Request) -> web.Response:
        """Answer one order."""
        self._asked_by(request)
        with as_problems("path"):
            found = await self._store.get(_id(request), self._principal(request).rights)
        return _json(found.order, self._after_snapshot(found.at))

    async def create(self, request: web.Request) -> web.Response:
        """Store a new order and answer it as stored."""
        account = self._asked_by(request)
        principal = self._principal(request)
        with as_problems("body"):
            new = parse_new(await self._body(request, account))
            async with self._creations.slot(account) if self.turns.is_contended else nullcontext():
                written = await self._store.create(new, principal.rights)
        location = {"Location": f"{COLLECTION}/{quote(str(written.order['_id']), safe='')}"}
        return self._written(written, principal, location, status=201)

    async def update(self, request: web.Request) -> web.Response:
        """Change the given fields of an order and answer the whole of it."""
        account = self._asked_by(request)
        principal = self._principal(request)
        with as_problems("path"):
            order = _id(request)
        with as_problems("body"):
            change = parse_change(await self._body(request, account))
            written = await self._store.update(order, change, principal.rights)
        return self._written(written, principal)

    async def delete(self, request: web.Request) -> web.Response:
        """Delete an order and answer what it was."""
        self._asked_by(request)
        principal = self._principal(request)
        with as_problems("path"):
            written = await self._store.delete(_id(request), principal.rights)
        return self._written(written, principal)

    def _asked_by(self, request: web.Request) -> str:
        account = self._account(request)
        self.turns.asked(account)
        return account

    async def _body(self, request: web.Request, account: str) -> object:
        pace = Pace(self.turns, account)
        return await read_json(request, limit=self._body_limit, deadline=self._body_deadline, pace=pace)

    def _written(
        self, written: Written, principal: Principal, headers: dict[str, str] | None = None, *, status: int = 200
    ) -> web.Response:
        """Answer a write with the order, or with its id only where the token does not allow to read."""
        order = written.order if Scope.READ in principal.scopes else {"_id": written.order["_id"]}
        return _json(order, {**(headers or {}), **self._of_write(written.at)}, status=status)

    def _after_snapshot(self, at: int) -> dict[str, str]:
        return self._cursor(Position.end_of(at))

    def _of_write(self, at: int | None) -> dict[str, str]:
        # A write outside a transaction has its cluster time to itself, so its ordinal is 0.
        return {} if at is None else self._cursor(Position(at, 0))

    def _cursor(self, position: Position) -> dict[str, str]:
        epoch = self._epoch()
        return {} if epoch is None else {STREAM_CURSOR: str(Cursor(epoch, position))}


def _id(request: web.Request) -> str:
    """Return the id that the address ends in; raise InvalidInput."""
    # From the address as it came: what aiohttp makes of it no longer tells `%FF`, which is no text, from `%25FF`.
    name = request.rel_url.raw_path.rpartition("/")[2]
    try:
        return parse_id(unquote(name, errors="strict"))
    except UnicodeDecodeError:
        raise InvalidInput([FieldFault("id", "must be percent-encoded UTF-8")]) from None


def _following(request: web.Request, mark: str) -> str:
    """Return the address of the next page; raise a Problem where it would be longer than what is taken."""
    address = str(request.rel_url.update_query(after=mark))
    if len(address) > LONGEST_TARGET:
        detail = "With where it goes on, the address of the next page would be too long: ask for fewer values at once."
        raise Problem(414, Kind.HTTP, detail)
    return address


def _json(value: Json, headers: dict[str, str], *, status: int = 200) -> web.Response:
    return _answer(dumps(value), headers, status=status)


def _answer(body: bytes, headers: dict[str, str], *, status: int = 200) -> web.Response:
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


async def _list(request: web.Request, page: OrdersPage, headers: dict[str, str], pace: Pace) -> web.StreamResponse:
    """Answer with the orders; megabytes of them are encoded and sent in pieces, between which others have turns."""
    if page.is_small:  # nearly always, and cheaper than one by one
        return _answer(dumps([*page.orders]), headers)
    encoded, size = [b"["], 2
    for order in page.orders:
        encoded.append(dumps(order) if size == 2 else b"," + dumps(order))
        size += len(encoded[-1])
        await pace.step()
    encoded.append(b"]")
    if size <= PIECE:
        return _answer(b"".join(encoded), headers)
    response = web.StreamResponse(headers={**headers, "Content-Type": "application/json"})
    response.content_length = size
    await response.prepare(request)
    try:
        async with asyncio.timeout(SEND_SECONDS):
            if request.method != hdrs.METH_HEAD:
                for piece in _pieces(encoded):
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
