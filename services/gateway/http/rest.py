"""The orders over HTTP: lists of them, one of them, and writes."""

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from services.common.fair_turns import FairTurns
from services.gateway.edge.principal import Principal
from services.gateway.http.answers import STREAM_CURSOR
from services.gateway.http.identity import anyone
from services.gateway.http.limits import RATE_LIMIT_HEADERS, Charge, free
from services.gateway.http.lists import TOTAL_COUNT, ListsApi
from services.gateway.http.one_order import OneOrder
from services.gateway.http.writes import OrderWrites
from services.gateway.store import OrderStore

EXPOSED_HEADERS = (
    STREAM_CURSOR,
    "Accept-Patch",
    "ETag",
    "Link",
    "Location",
    "Retry-After",
    TOTAL_COUNT,
    *RATE_LIMIT_HEADERS,
)


class OrdersApi:
    """The routes of the orders: the list, one order, and writes.

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
        follow: Handler | None = None,
        charge: Charge = free,
    ) -> None:
        self.turns = turns = FairTurns() if turns is None else turns
        self._lists = ListsApi(store.lists, store.gate, epoch, account, turns, principal, follow)
        self._one = OneOrder(store, epoch, account=account, principal=principal)
        self._writes = OrderWrites(
            store,
            epoch,
            body_limit=body_limit,
            body_deadline=body_deadline,
            account=account,
            turns=turns,
            principal=principal,
            charge=charge,
        )

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, ready for ``app.add_routes``."""
        return [*self._lists.routes(), *self._writes.routes(), *self._one.routes()]
