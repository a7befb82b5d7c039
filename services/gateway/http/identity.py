"""Identifies the principal of every request to the API, and refuses what its token does not allow."""

from collections.abc import Callable

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from services.gateway.edge.authenticator import Authenticator
from services.gateway.edge.entrance import Entrance
from services.gateway.edge.principal import ANYONE, Credentials, Denial, NotAuthenticated, Principal, Scope
from services.gateway.http.accept import opens_stream
from services.gateway.http.paths import ADMIN, DOCS, TICKETS
from services.gateway.http.problems import Kind, Problem

# The description of the API. Everything else below /api/ asks for a token, a route that is added later too.
_PUBLIC = (DOCS, "/api/openapi.json", "/api/asyncapi.json")
_PRINCIPAL = web.RequestKey("principal", Principal)
_UNKNOWN = frozenset({Kind.UNAUTHENTICATED, Kind.SCOPE})  # there is no subject to charge
_CHALLENGE = 'Bearer realm="orders"'


def anyone(request: web.BaseRequest) -> Principal:  # noqa: ARG001
    """Return the same principal for every request: without AUTH=jwt."""
    return ANYONE


def principal_of(request: web.BaseRequest) -> Principal:
    """Return the principal that the middleware of `identify_at` has set; KeyError where that has not run."""
    return request[_PRINCIPAL]


def subject_of(request: web.BaseRequest) -> str:
    """Return the subject of the request, empty where it is not known."""
    found = request.get(_PRINCIPAL)
    return "" if found is None else found.subject


def identify_at(authenticator: Authenticator, entrance: Entrance, charge: Callable[[web.Request], None]) -> Middleware:
    """Return the middleware that identifies the principal before every route below /api/.

    It runs after preflights have been answered. A request whose subject remains unknown is passed to ``charge``, which
    charges its address: guessing tokens is not free.
    """

    @web.middleware
    async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
        path = request.path
        if not path.startswith("/api/") or path in _PUBLIC:
            return await handler(request)
        if request.method == hdrs.METH_OPTIONS:  # which reveals no more than the methods
            return await handler(request)
        scope = _needed(request)
        try:
            request[_PRINCIPAL] = await authenticator.identify(_for(request, entrance.credentials(request)), scope)
        except NotAuthenticated as refusal:
            problem = refusal_problem(refusal.denial, scope)
            if problem.kind in _UNKNOWN:
                charge(request)
            raise problem from refusal
        return await handler(request)

    return identify


def _needed(request: web.Request) -> Scope:
    if request.path.startswith(ADMIN):
        return Scope.ADMIN
    reads = request.method in {hdrs.METH_GET, hdrs.METH_HEAD} or request.path == TICKETS
    return Scope.READ if reads else Scope.WRITE


def _for(request: web.Request, given: Credentials) -> Credentials:
    return given if opens_stream(request) else given._replace(ticket=None)  # a ticket opens a stream, nothing else


def refusal_problem(denial: Denial, scope: Scope = Scope.READ) -> Problem:
    """Return the answer to a request that is not let in; ``scope`` is the one that it needs."""
    if denial is Denial.UNAVAILABLE:
        detail = "Your identity cannot be checked at the moment; try again."
        return Problem(503, Kind.HTTP, detail, headers={hdrs.RETRY_AFTER: "2"}, reason=denial)
    if denial is Denial.SCOPE_MISSING:
        challenge = f'{_CHALLENGE}, error="insufficient_scope", scope="{scope}"'
        detail = f"It needs the scope {scope}."
        return Problem(403, Kind.SCOPE, detail, headers={hdrs.WWW_AUTHENTICATE: challenge}, reason=denial)
    if denial is Denial.FOREIGN_PAGE:
        detail = "A session is for this server's own page: send a token or a ticket."
        return Problem(403, Kind.FOREIGN_PAGE, detail, reason=denial)
    missing = denial is Denial.TOKEN_MISSING
    challenge = _CHALLENGE if missing else f'{_CHALLENGE}, error="invalid_token", error_description="{denial}"'
    detail = _DETAILS[denial]
    return Problem(401, Kind.UNAUTHENTICATED, detail, headers={hdrs.WWW_AUTHENTICATE: challenge}, reason=denial)


_DETAILS = {
    Denial.TOKEN_MISSING: "Send a token as `Authorization: Bearer …`.",
    Denial.TOKEN_INVALID: "The token or session is not valid here.",
    Denial.TOKEN_EXPIRED: "The token or session has expired.",
    Denial.TOKEN_NOT_YET_VALID: "The token is not valid yet.",
    Denial.SESSION_ENDED: "The session has ended: sign in again.",
    Denial.TOKEN_TOO_LONG: "The token lives longer than this gateway accepts: take one that expires sooner.",
    Denial.TOKEN_REVOKED: "The token has been revoked.",
    Denial.TICKET_INVALID: "The ticket is unknown, too old, or used already.",
}
