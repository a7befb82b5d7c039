"""Answers every error: as a problem to programs, with a page to people where there is nothing."""

import secrets

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from services.gateway.http.not_found import not_found_page
from services.gateway.http.paths import DOCS
from services.gateway.http.problems import Kind, Problem, problem_response

_PROBLEMS_BELOW = ("/api/", "/auth/")
_POLLING = "/socket.io/"  # has answers of its own

log = structlog.get_logger(__name__)


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer all errors of the middlewares and routes that come after this one.

    Our own errors are logged once, with the id that the client gets; errors of the client are not logged.
    """
    try:
        return await handler(request)
    except Exception as error:
        answer = _page(request, error) if _is_for_people(request) else _problem(request, error)
        if answer is None:
            raise
        return answer


def _is_for_people(request: web.Request) -> bool:
    return not request.path.startswith(_PROBLEMS_BELOW)


def _page(request: web.Request, error: Exception) -> web.Response | None:
    if isinstance(error, web.HTTPNotFound) and not request.path.startswith(_POLLING):
        return not_found_page()
    return None


def _problem(request: web.Request, error: Exception) -> web.Response | None:
    match error:
        case Problem():
            return problem_response(error)
        case web.HTTPMethodNotAllowed():
            return _method_not_allowed(error)
        case web.HTTPException():
            return None if error.status < 400 else problem_response(_from_http(error))
    if request.transport is None or request.transport.is_closing():
        return web.Response(status=400)  # the client has left: it is never read, and it is not our fault
    if request.writer.output_size > 0:
        return None  # a stream has begun: nothing written now could be read as a response
    return _internal(request, error)


def _internal(request: web.Request, error: Exception) -> web.Response:
    incident = secrets.token_hex(8)
    log.error("A request failed", incident=incident, method=request.method, path=request.path, exc_info=error)
    detail = "It is logged under the id in `incident`."
    return problem_response(Problem(500, Kind.INTERNAL, detail), incident=incident)


def _method_not_allowed(error: web.HTTPMethodNotAllowed) -> web.Response:
    """Answer with the allowed methods (RFC 9110, 15.5.6)."""
    allowed = ", ".join(sorted({*error.allowed_methods, hdrs.METH_OPTIONS}))
    return problem_response(Problem(405, Kind.HTTP, f"Allowed here: {allowed}.", headers={hdrs.ALLOW: allowed}))


def _from_http(error: web.HTTPException) -> Problem:
    if isinstance(error, web.HTTPNotFound):
        described = {"Link": f'<{DOCS}>; rel="service-doc"'}  # RFC 8631
        return Problem(
            404, Kind.HTTP, f"There is nothing at this address; {DOCS} lists all that there is.", headers=described
        )
    if isinstance(error, web.HTTPUnsupportedMediaType):
        return Problem(415, Kind.MEDIA_TYPE, error.text or "", headers={hdrs.ACCEPT_ENCODING: "identity"})
    return Problem(error.status, Kind.HTTP, error.reason)
