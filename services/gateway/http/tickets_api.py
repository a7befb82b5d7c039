"""Exchanges a token for a ticket: `POST /api/tickets`."""

from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web

from services.common.documents import dumps
from services.gateway.edge.principal import NotAuthenticated, Principal
from services.gateway.http.identity import principal_of
from services.gateway.http.paths import TICKETS
from services.gateway.http.problems import Kind, Problem


class TicketsApi:
    """``issue`` returns a ticket for a principal, or None where it has been given too many of late."""

    def __init__(self, issue: Callable[[Principal], Awaitable[str | None]], seconds: int) -> None:
        self._issue = issue
        self._seconds = seconds

    def routes(self) -> list[web.RouteDef]:
        """Return the route, ready for ``app.add_routes``."""
        return [web.post(TICKETS, self.create)]

    async def create(self, request: web.Request) -> web.Response:
        """Answer a ticket for the bearer of the token."""
        try:
            ticket = await self._issue(principal_of(request))
        except NotAuthenticated as error:
            detail = "Redis, which stores the tickets, does not answer."
            raise Problem(503, Kind.HTTP, detail, headers={hdrs.RETRY_AFTER: "2"}) from error
        if ticket is None:
            detail = f"You were issued too many tickets within {self._seconds} seconds."
            raise Problem(429, Kind.HTTP, detail, headers={hdrs.RETRY_AFTER: str(self._seconds)})
        body = dumps({"ticket": ticket, "expires_in": self._seconds})
        headers = {hdrs.CACHE_CONTROL: "no-store"}
        return web.Response(status=201, body=body, content_type="application/json", headers=headers)
