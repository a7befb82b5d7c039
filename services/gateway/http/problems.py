"""Errors as clients get them: `application/problem+json` (RFC 9457), one shape for every error."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from http import HTTPStatus

from aiohttp import hdrs, web

from services.common.documents import Json, dumps
from services.gateway.input_rules import FieldFault


class Kind(StrEnum):
    """The kind of a problem, for programs; sent as the URN in `type`."""

    NOT_JSON = "not-json"
    INVALID = "invalid-input"
    NOT_FOUND = "order-not-found"
    UNAUTHENTICATED = "not-authenticated"
    SCOPE = "scope-missing"
    FOREIGN_PAGE = "foreign-page"
    OUTSIDE = "outside-rights"
    LIMITED = "rate-limited"
    TOO_LARGE = "body-too-large"
    TOO_SLOW = "body-too-slow"
    MEDIA_TYPE = "unsupported-media-type"
    RULE = "rule-broken"
    TAKEN = "value-taken"
    ORDER_TOO_LARGE = "order-too-large"
    BUSY = "order-busy"
    PRECONDITION = "precondition-failed"
    KEY_REUSED = "key-reused"
    IN_PROGRESS = "request-in-progress"
    TOO_SLOW_STORE = "store-too-slow"
    UNFIT = "collection-unfit"
    OVERLOADED = "overloaded"
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
    Kind.FOREIGN_PAGE: "A page of another origin made the request",
    Kind.OUTSIDE: "The order would be outside of your rights",
    Kind.LIMITED: "You have exceeded a limit",
    Kind.TOO_LARGE: "The body is too large",
    Kind.TOO_SLOW: "The body did not arrive in time",
    Kind.MEDIA_TYPE: "The body must be JSON, not compressed",
    Kind.RULE: "A rule of the collection forbids this",
    Kind.TAKEN: "Another order has this value",
    Kind.ORDER_TOO_LARGE: "The order would become too large",
    Kind.BUSY: "Another transaction holds the order",
    Kind.PRECONDITION: "The order is not in the state that the request requires",
    Kind.KEY_REUSED: "The key belongs to another request",
    Kind.IN_PROGRESS: "The same request is still under way",
    Kind.TOO_SLOW_STORE: "MongoDB takes too long for this",
    Kind.UNFIT: "The collection cannot be served",
    Kind.OVERLOADED: "The server is overloaded",
    Kind.UNAVAILABLE: "The orders cannot be reached",
    Kind.UNKNOWN_OUTCOME: "It is not known whether the write was done",
    Kind.INTERNAL: "Something went wrong on our side",
}


class Problem(Exception):
    """An answer that is an error; raise it anywhere below the middleware `answer_errors`.

    ``reason``: why a client is not let in, in the word that is used on every transport.
    """

    def __init__(
        self,
        status: int,
        kind: Kind,
        detail: str,
        *,
        faults: Iterable[FieldFault] = (),
        place: str = "body",
        headers: Mapping[str, str] | None = None,
        errors: Iterable[Json] = (),
        reason: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.faults = tuple(faults)
        self.errors = [*errors, *(fault_json(fault, place) for fault in self.faults)]
        self.headers = dict(headers or {})
        self.reason = reason


def problem_response(problem: Problem, **more: Json) -> web.Response:
    """Return the response for a problem."""
    body: dict[str, Json] = {
        "type": problem.kind.uri,
        "title": _TITLES.get(problem.kind) or HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": _encodable(problem.detail),
        **more,
    }
    if problem.reason is not None:
        body["reason"] = problem.reason
    if problem.errors:
        body["errors"] = problem.errors
    return web.Response(
        status=problem.status, body=dumps(body), content_type="application/problem+json", headers=problem.headers
    )


def problem_bytes(problem: Problem) -> bytes:
    """Return the whole HTTP response, to be written to a transport."""
    response = problem_response(problem)
    body = response.body if isinstance(response.body, bytes) else b""
    reason = HTTPStatus(problem.status).phrase
    fields = {
        **problem.headers,
        hdrs.CONTENT_TYPE: response.content_type,
        hdrs.CACHE_CONTROL: "no-store",
        "X-Content-Type-Options": "nosniff",
        hdrs.CONTENT_LENGTH: str(len(body)),
    }
    lines = [f"HTTP/1.1 {problem.status} {reason}", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode() + body


def fault_json(fault: FieldFault, place: str) -> dict[str, Json]:
    """Return an element of `errors`."""
    steps = [_encodable(step) for step in (*fault.path, fault.field)]
    error: dict[str, Json] = {"in": place, "field": steps[-1] or place, "message": _encodable(fault.message)}
    if place == "body":  # a JSON pointer, as in the example of RFC 9457
        error["pointer"] = "".join(["#", *(f"/{_escaped(step)}" for step in steps if step)])
    return error


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")


def _encodable(text: str) -> str:
    # An escape in JSON or a byte in a URL can become a lone surrogate, which UTF-8 cannot encode.
    return text.encode(errors="backslashreplace").decode()
