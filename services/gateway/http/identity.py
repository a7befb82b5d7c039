"""Asks every request to the API who makes it, and lets in those whose token allows it."""

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from services.gateway.edge.doors import Doors
from services.gateway.edge.principal import ANYONE, Credentials, Denial, NotAuthenticated, Principal, Scope
from services.gateway.http.problems import Kind, Problem

TICKETS = "/api/tickets"
STREAM = "/api/orders/events"
# The description of the API. Everything else below /api/ asks for a token, a route that is added later too.
_PUBLIC = ("/api/docs", "/api/openapi.json")
_PRINCIPAL = "principal"
_CHALLENGE = 'Bearer realm="orders"'


def anyone(request: web.BaseRequest) -> Principal:  # noqa: ARG001
    """Return the principal of every request, where no tokens are asked for."""
    return ANYONE


def principal_of(request: web.BaseRequest) -> Principal:
    """Return who makes the request; it is an error of ours where nobody has asked."""
    found: Principal = request[_PRINCIPAL]
    return found


def install_identity(app: web.Application, doors: Doors) -> None:
    """Ask before every route below /api/. Call it after `install_entrance`, which answers the preflights."""

    @web.middleware
    async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
        path = request.path
        if not path.startswith("/api/") or path in _PUBLIC:
            return await handler(request)
        if request.method == hdrs.METH_OPTIONS:  # tells the methods, as for any address
            return await handler(request)
        reads = request.method in {hdrs.METH_GET, hdrs.METH_HEAD} or path == TICKETS
        try:
            request[_PRINCIPAL] = await doors.identify(_credentials(request), Scope.READ if reads else Scope.WRITE)
        except NotAuthenticated as refusal:
            raise _refused(refusal.denial, Scope.READ if reads else Scope.WRITE) from refusal
        return await handler(request)

    app.middlewares.append(identify)


def _credentials(request: web.Request) -> Credentials:
    given = Credentials.of(request)
    return given if request.path == STREAM else given._replace(ticket=None)  # a ticket opens a stream, nothing else


def _refused(denial: Denial, scope: Scope) -> Problem:
    if denial is Denial.UNAVAILABLE:
        detail = "It cannot be checked now who you are."
        return Problem(503, Kind.HTTP, detail, headers={hdrs.RETRY_AFTER: "2"})
    if denial is Denial.SCOPE_MISSING:
        challenge = f'{_CHALLENGE}, error="insufficient_scope", scope="{scope}"'
        return Problem(403, Kind.SCOPE, f"It needs the scope {scope}.", headers={hdrs.WWW_AUTHENTICATE: challenge})
    missing = denial is Denial.TOKEN_MISSING
    challenge = _CHALLENGE if missing else f'{_CHALLENGE}, error="invalid_token", error_description="{denial}"'
    return Problem(401, Kind.UNAUTHENTICATED, _DETAILS[denial], headers={hdrs.WWW_AUTHENTICATE: challenge})


_DETAILS = {
    Denial.TOKEN_MISSING: "Send a token as `Authorization: Bearer …`.",
    Denial.TOKEN_INVALID: "The token is not valid here.",
    Denial.TOKEN_EXPIRED: "The token has expired.",
    Denial.TOKEN_NOT_YET_VALID: "The token is not valid yet.",
    Denial.TICKET_INVALID: "The ticket is unknown, too old, or used already.",
}
