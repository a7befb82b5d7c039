"""Limits what a client asks of the API, and tells it with each answer how it stands.

Every request below /api/ and /auth/ costs one: a read, or a write by its method. A route that costs something else says
so:

    @costs(Use.EXPENSIVE)
    async def export(self, request): ...

or `@costs(lambda request: …)` where it depends on the request.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiohttp import hdrs, web

from services.gateway.edge.fair_share import FairShare
from services.gateway.edge.incidents import Count
from services.gateway.edge.quota import Standing, Use
from services.gateway.http.identity import subject_of
from services.gateway.http.problems import Kind, Problem

Cost = Callable[[web.Request], Use]
Charge = Callable[[web.Request, Use, int], None]
"""Charges a request for so many of a use; raises a Problem (429) where that is too much."""
_Handler = TypeVar("_Handler", bound=Callable[..., Awaitable[web.StreamResponse]])
_COST = "costs"
_STANDING = web.RequestKey("standing", Standing)
_READS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})
RATE_LIMIT_HEADERS = ("RateLimit", "RateLimit-Policy")


def free(request: web.Request, use: Use, amount: int) -> None:
    """Charge nothing."""


def costs(use: Use | Cost) -> Callable[[_Handler], _Handler]:
    """Say what a request to this route costs, in place of a read or a write."""
    cost: Cost = (lambda _: use) if isinstance(use, Use) else use

    def mark(handler: _Handler) -> _Handler:
        setattr(handler, _COST, cost)
        return handler

    return mark


class RequestLimits:
    """Charges requests to their subjects, or else to their addresses."""

    def __init__(self, share: FairShare, address: Callable[[web.BaseRequest], str], count: Count) -> None:
        self._share = share
        self._address = address
        self._count = count

    def charge(self, request: web.BaseRequest, use: Use, amount: int = 1) -> Standing | None:
        """Let the request use something more, and count it where it may not; None where that is not limited."""
        standing = self._share.charge(use, self._address(request), subject_of(request), amount)
        if standing is not None and not standing.is_allowed:
            self._count(use.incident)
        return standing

    def check(self, request: web.Request) -> None:
        """Charge a request before its route sees it: a check."""
        if request.path.startswith(("/api/", "/auth/")) and request.method != hdrs.METH_OPTIONS:
            self.require(request)

    def require(self, request: web.Request) -> None:
        """Charge a request what its route costs; raise a Problem (429) where that is too much."""
        self.require_more(request, _use_of(request), 1)

    def require_more(self, request: web.Request, use: Use, amount: int) -> None:
        """Charge a request besides, once it is known what it asks for; raise a Problem (429) where that is too much."""
        standing = self.charge(request, use, amount)
        if standing is None:
            return
        request[_STANDING] = standing
        if not standing.is_allowed:
            amount, seconds = standing.quota
            detail = f"You have exceeded the limit `{use}`: {amount} in {seconds} seconds. Nothing was done."
            raise Problem(429, Kind.LIMITED, detail)


def add_rate_limit_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Tell the client how much of its quota is left."""
    standing = request.get(_STANDING)
    if standing is not None:
        response.headers.update(standing.fields())


def _use_of(request: web.Request) -> Use:
    cost: Cost | None = getattr(request.match_info.handler, _COST, None)
    if cost is not None:
        return cost(request)
    return Use.READS if request.method in _READS else Use.WRITES
