"""The past of one order over HTTP: `GET /api/orders/{id}/history`."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import unquote

from aiohttp import hdrs, web

from services.common.cursor import Cursor, InvalidCursor, Position
from services.common.documents import Json, dumps, iso_at
from services.common.envelope import Operation
from services.gateway.audience import Rights, view_of
from services.gateway.edge.principal import Principal
from services.gateway.edge.quota import Use
from services.gateway.filters import EVERYTHING
from services.gateway.history import HistoryUnavailable
from services.gateway.http.identity import anyone
from services.gateway.http.limits import costs
from services.gateway.http.paths import COLLECTION
from services.gateway.http.problem_translation import as_problems
from services.gateway.http.problems import Kind, Problem
from services.gateway.http.request_deadline import spent
from services.gateway.input_rules import FieldFault, InvalidInput
from services.gateway.order_history import OrderHistory, Past
from services.gateway.orders import parse_id
from services.gateway.past_changes import PastChange, ToldChange, visible_changes
from services.gateway.store import OrderStore

HISTORY = COLLECTION + "/{id:[^/]+}/history"
LARGEST_LIMIT = 100
DEFAULT_LIMIT = 50
RETRY_SECONDS = "2"
# Bytes of changes; the one with which it has more is the last. Each may tell of thousands of fields, as other programs
# write them.
_LARGEST_PAGE = 2_097_152


class HistoryQuery(NamedTuple):
    """How many changes, and before which position."""

    limit: int = DEFAULT_LIMIT
    before: Cursor | None = None


class _Found(NamedTuple):
    """Whether the order is one that the reader may see, or is there for nobody; and its past, also from its end."""

    is_inside: bool
    is_gone: bool
    past: Past
    newest: Past


class HistoryApi:
    """Shows the changes of an order, newest first, to those who may see the order.

    Each change is judged by the order before and after it; what cannot be judged is left out.
    """

    def __init__(
        self,
        store: OrderStore,
        history: OrderHistory,
        account: Callable[[web.BaseRequest], str],
        principal: Callable[[web.BaseRequest], Principal] = anyone,
        shows: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._store = store
        self._history = history
        self._account = account
        self._principal = principal
        self._shows = shows  # the fields that clients may see

    def routes(self) -> list[web.RouteDef]:
        """Return the route, ready for ``app.add_routes``."""
        return [web.get(HISTORY, self.get)]

    @costs(Use.EXPENSIVE)
    async def get(self, request: web.Request) -> web.Response:
        """Answer one page; ``Link: rel="next"`` leads further back, where there is more to be searched."""
        account, rights = self._account(request), self._principal(request).rights
        with as_problems("path"):
            order = _id(request)
        query = _parse_query(request)
        epoch = self._history.epoch
        if epoch is None:
            raise _unavailable("The stream of changes is not available yet.")
        before = _position(query.before, epoch)
        # In line before MongoDB is asked anything: requests of the account that leave meanwhile cost nothing.
        async with self._history.turn(account):
            is_inside, is_gone, past, newest = await self._find(order, before, query.limit + 1, rights, request)
        since = past.since if len(past.changes) <= query.limit else past.changes[query.limit - 1].position.below
        is_end = past.is_end and len(past.changes) <= query.limit
        changes, cut = await self._told(past.changes, query.limit, rights, epoch, account)
        if cut is not None:
            since, is_end = cut, False
        headers = (
            {}
            if is_end
            else {"Link": f'<{_earlier(request, Cursor(epoch, since.above, view_of(rights)))}>; rel="next"'}
        )
        last = [*visible_changes(newest.changes, 1, rights, epoch, self._shows)]
        if not (is_inside or (is_gone and changes and _may_be_shown(last, rights))):
            detail = "There is no order with this id, and no deletion of one was found."
            # The link would tell an order that is outside of the rights from one that never was.
            raise Problem(404, Kind.NOT_FOUND, detail, headers=headers if rights == EVERYTHING else {})
        complete: dict[str, Json] = {
            "complete_since": str(Cursor(epoch, since, view_of(rights))),
            "complete_since_at": iso_at(since.ts >> 32),
        }
        body = b'{"id":%b,"changes":[%b],%b' % (dumps(order), b",".join(changes), dumps(complete)[1:])
        return web.Response(body=body, content_type="application/json", headers=headers)

    async def _find(
        self, order: str, before: Position | None, most: int, rights: Rights, request: web.Request
    ) -> _Found:
        account = self._account(request)
        with as_problems("path"):
            is_inside = await self._exists(order, rights, request)
            is_gone = not is_inside
            # Asked for all who do not see it, and answered only after the search: its time must not tell either.
            if is_gone and rights != EVERYTHING:
                is_gone = not await self._exists(order, EVERYTHING, request)
        try:
            past = newest = await self._history.before(order, before, most, rights, account)
            if before is not None and not is_inside and rights != EVERYTHING:
                newest = await self._history.before(order, None, 1, rights, account)
        except HistoryUnavailable as error:
            raise _unavailable("MongoDB does not answer.") from error
        return _Found(is_inside, is_gone, past, newest)

    async def _told(
        self, found: Sequence[PastChange], most: int, rights: Rights, epoch: str, account: str
    ) -> tuple[list[bytes], Position | None]:
        """Return the changes as JSON, and after which position they are all where there was no room for older ones."""
        told: list[bytes] = []
        size = 0
        pace = self._history.pace(account)
        await pace.begin()
        for change in visible_changes(found, most, rights, epoch, self._shows):
            told.append(dumps(change.told))
            size += len(told[-1])
            if size > _LARGEST_PAGE:
                return told, change.position.below
            await pace.step()
        return told, None

    async def _exists(self, id: str, rights: Rights, request: web.Request) -> bool:
        async with self._store.gate.slot(self._account(request), spent(request)):
            return await self._store.exists(id, rights)


def _may_be_shown(last: Sequence[ToldChange], rights: Rights) -> bool:
    """Tell whether an order that is gone is shown: to those who saw it last.

    To others it would tell when an order that they may no longer see was deleted, also by the earlier pages.
    """
    return rights == EVERYTHING or any(
        one.told["operation"] == Operation.DELETE and "left" not in one.told for one in last
    )


def _id(request: web.Request) -> str:
    # From the address as it came, as for the order itself.
    name = request.rel_url.raw_path.split("/")[-2]
    try:
        return parse_id(unquote(name, errors="strict"))
    except UnicodeDecodeError:
        raise InvalidInput([FieldFault("id", "must be percent-encoded UTF-8")]) from None


def _parse_query(request: web.Request) -> HistoryQuery:
    query = HistoryQuery()
    for name, value in request.query.items():
        if name not in ("limit", "before"):
            raise _invalid(name, "is not an accepted field")
        if len(request.query.getall(name)) > 1:
            raise _invalid(name, "is given more than once")
        query = query._replace(limit=_limit(value)) if name == "limit" else query._replace(before=_cursor(value))
    return query


def _limit(text: str) -> int:
    limit = int(text) if re.fullmatch(r"[0-9]{1,3}", text) else 0
    if not 1 <= limit <= LARGEST_LIMIT:
        raise _invalid("limit", f"must be a whole number from 1 to {LARGEST_LIMIT}")
    return limit


def _cursor(text: str) -> Cursor:
    try:
        return Cursor.parse(text)
    except InvalidCursor:
        raise _invalid("before", "must be a cursor, as changes have it") from None


def _position(before: Cursor | None, epoch: str) -> Position | None:
    if before is not None and before.epoch != epoch:
        detail = "The cursor is of a stretch of history that has ended: begin again without it."
        raise Problem(404, Kind.NOT_FOUND, detail)
    return None if before is None else before.position


def _earlier(request: web.Request, before: Cursor) -> str:
    return str(request.rel_url.update_query(before=str(before)))


def _invalid(name: str, message: str) -> Problem:
    return Problem(
        422, Kind.INVALID, f"{name[:100]}: {message}", faults=[FieldFault(name[:100], message)], place="query"
    )


def _unavailable(detail: str) -> Problem:
    return Problem(503, Kind.UNAVAILABLE, detail, headers={hdrs.RETRY_AFTER: RETRY_SECONDS})
