"""Errors as clients get them: `application/problem+json` (RFC 9457), one shape for every error."""

import secrets
from collections.abc import Iterable, Mapping
from enum import StrEnum
from http import HTTPStatus

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from services.common.documents import Json, dumps
from services.gateway.orders import FieldFault

log = structlog.get_logger(__name__)


class Kind(StrEnum):
    """The kind of a problem, for programs; sent as the URN in `type`."""

    NOT_JSON = "not-json"
    INVALID = "invalid-input"
    NOT_FOUND = "order-not-found"
    UNAUTHENTICATED = "not-authenticated"
    SCOPE = "scope-missing"
    OUTSIDE = "outside-rights"
    TOO_LARGE = "body-too-large"
    TOO_SLOW = "body-too-slow"
    MEDIA_TYPE = "unsupported-media-type"
    RULE = "rule-broken"
    TAKEN = "value-taken"
    ORDER_TOO_LARGE = "order-too-large"
    BUSY = "order-busy"
    TOO_SLOW_STORE = "store-too-slow"
    UNFIT = "collection-unfit"
    UNAVAILABLE = "store-unavailable"
    UNKNOWN_OUTCOME = "outcome-unknown"
    INTERNAL = "internal-error"
    HTTP = "about:blank"  # the status says it all

    @property
    def uri(self) -> str:
        """The `type` member of the problem."""
        return self.value if self is Kind.HTTP else f"urn:realtime-orders:problem:{self.value}"


_TITLES = {
    Kind.NOT_JSON: "The body is not JSON",
    Kind.INVALID: "The input breaks the rules",
    Kind.NOT_FOUND: "No such order",
    Kind.UNAUTHENTICATED: "A valid token is needed",
    Kind.SCOPE: "The token does not allow this",
    Kind.OUTSIDE: "The order would be outside of your rights",
    Kind.TOO_LARGE: "The body is too large",
    Kind.TOO_SLOW: "The body did not arrive in time",
    Kind.MEDIA_TYPE: "The body must be application/json, not compressed",
    Kind.RULE: "A rule of the collection forbids it",
    Kind.TAKEN: "Another order has this value",
    Kind.ORDER_TOO_LARGE: "The order would become too large",
    Kind.BUSY: "Another transaction holds the order",
    Kind.TOO_SLOW_STORE: "MongoDB needs too long for this",
    Kind.UNFIT: "The collection cannot be served",
    Kind.UNAVAILABLE: "The orders cannot be reached",
    Kind.UNKNOWN_OUTCOME: "It is not known whether the write was done",
    Kind.INTERNAL: "Something went wrong on our side",
}


class Problem(Exception):
    """An answer that is an error; raise it anywhere below the middleware."""

    def __init__(
        self,
        status: int,
        kind: Kind,
        detail: str,
        *,
        faults: Iterable[FieldFault] = (),
        place: str = "body",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.errors = [_error(fault, place) for fault in faults]
        self.headers = dict(headers or {})


def problem_response(problem: Problem, **more: Json) -> web.Response:
    """Return the response for a problem."""
    body: dict[str, Json] = {
        "type": problem.kind.uri,
        "title": _TITLES.get(problem.kind) or HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": _encodable(problem.detail),
        **more,
    }
    if problem.errors:
        body["errors"] = problem.errors
    return web.Response(
        status=problem.status, body=dumps(body), content_type="application/problem+json", headers=problem.headers
    )


def problems(prefix: str = "/api/") -> Middleware:
    """Return the middleware that answers every error below ``prefix`` as a problem.

    Our own errors are logged once, with the id that the client gets; errors of the client are not logged.
    """

    @web.middleware
    async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith(prefix):
            return await handler(request)
        try:
            return await handler(request)
        except Problem as problem:
            return problem_response(problem)
        except web.HTTPMethodNotAllowed as error:
            return _method_not_allowed(request, error)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return problem_response(_from_http(error))
        except Exception as error:
            if request.transport is None or request.transport.is_closing():
                return web.Response(
                    status=400
                )  # the client has left: the response is never read, and it is not our fault
            if request.writer.output_size > 0:
                raise  # a stream has begun: nothing written now could be read as a response
            return _internal(request, error)

    return answer_problems


def _internal(request: web.Request, error: Exception) -> web.Response:
    incident = secrets.token_hex(8)
    log.error("A request failed", incident=incident, method=request.method, path=request.path, exc_info=error)
    detail = "It is logged under the id in `incident`."
    return problem_response(Problem(500, Kind.INTERNAL, detail), incident=incident)


def _method_not_allowed(request: web.Request, error: web.HTTPMethodNotAllowed) -> web.Response:
    """Answer with the allowed methods, for OPTIONS (RFC 9110) and for any other method."""
    allowed = ", ".join(sorted({*error.allowed_methods, hdrs.METH_OPTIONS}))
    if request.method == hdrs.METH_OPTIONS:
        return web.Response(status=204, headers={hdrs.ALLOW: allowed})
    return problem_response(Problem(405, Kind.HTTP, f"Allowed here: {allowed}.", headers={hdrs.ALLOW: allowed}))


def _from_http(error: web.HTTPException) -> Problem:
    if isinstance(error, web.HTTPNotFound):
        return Problem(404, Kind.HTTP, "There is nothing at this address.")
    if isinstance(error, web.HTTPUnsupportedMediaType):
        return Problem(415, Kind.MEDIA_TYPE, error.text or "")
    return Problem(error.status, Kind.HTTP, error.reason)


def _error(fault: FieldFault, place: str) -> Json:
    field = _encodable(fault.field)
    error: dict[str, Json] = {"in": place, "field": field or place, "message": _encodable(fault.message)}
    if place == "body":  # a JSON pointer, as in the example of RFC 9457
        error["pointer"] = "#/" + field.replace("~", "~0").replace("/", "~1") if field else "#"
    return error


def _encodable(text: str) -> str:
    # An escape in JSON or a byte in a URL can become a lone surrogate, which UTF-8 cannot encode.
    return text.encode(errors="backslashreplace").decode()
