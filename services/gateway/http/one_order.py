"""The route that reads one order."""

import asyncio
from collections.abc import Callable

from aiohttp import web

from services.common.cursor import Position
from services.common.documents import dumps
from services.gateway.edge.principal import Principal
from services.gateway.http.answers import ETAG, Epoch, cursor_header, id_of, json_response
from services.gateway.http.paths import ORDER
from services.gateway.http.problem_translation import as_problems
from services.gateway.http.request_deadline import spent
from services.gateway.http.request_headers import preconditions
from services.gateway.store import Order, OrderStore
from services.gateway.versions import entity_tag


def _encoded(order: Order) -> tuple[bytes, str]:
    """Return the body of the response and its tag."""
    body = dumps(order)
    return body, entity_tag(body)


class OneOrder:
    """An order as it is now, with its version."""

    def __init__(
        self,
        store: OrderStore,
        epoch: Epoch,
        *,
        account: Callable[[web.BaseRequest], str],
        principal: Callable[[web.BaseRequest], Principal],
    ) -> None:
        self._store = store
        self._epoch = epoch
        self._account = account
        self._principal = principal

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, ready for ``app.add_routes``."""
        return [web.get(ORDER, self.get)]

    async def get(self, request: web.Request) -> web.Response:
        """Answer one order, or 304 to a client that has it."""
        conditions = preconditions(request)
        rights = self._principal(request).rights
        with as_problems("path"):
            order = id_of(request)
            async with self._store.gate.slot(self._account(request), spent(request)):
                found = await self._store.get(order, rights)
            body, tag = await asyncio.to_thread(_encoded, found.order) if found.is_large else _encoded(found.order)
            conditions.require_match(tag)
        headers = {ETAG: tag, **cursor_header(self._epoch(), Position.end_of(found.at), rights)}
        if conditions.is_known(tag):
            return web.Response(status=304, headers=headers)
        return json_response(body, headers)
