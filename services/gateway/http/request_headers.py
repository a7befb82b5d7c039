"""Reads the headers by which a request asks to be done once, or under a condition only."""

from aiohttp import hdrs, web

from services.common.error_text import error_text
from services.gateway.http.problems import Kind, Problem
from services.gateway.idempotency import InvalidIdempotencyKey, parse_key
from services.gateway.input_rules import FieldFault
from services.gateway.versions import InvalidTags, Preconditions, Tags

IDEMPOTENCY_KEY = "Idempotency-Key"


def idempotency_key(request: web.Request) -> str | None:
    """Return the key, or None; raise Problem."""
    try:
        return parse_key(request.headers.getall(IDEMPOTENCY_KEY, []))
    except InvalidIdempotencyKey as error:
        raise _invalid(IDEMPOTENCY_KEY, error_text(error)) from error


def preconditions(request: web.Request) -> Preconditions:
    """Return what the request asks for; raise Problem."""
    return Preconditions(_tags(request, hdrs.IF_MATCH), _tags(request, hdrs.IF_NONE_MATCH))


def _tags(request: web.Request, name: str) -> Tags | None:
    try:
        return Tags.parse(request.headers.getall(name, []))
    except InvalidTags as error:
        raise _invalid(
            name, 'must be * or a list of entity tags in double quotes, as ETag has them: "…", "…"'
        ) from error


def _invalid(name: str, message: str) -> Problem:
    return Problem(400, Kind.INVALID, f"{name}: {message}", faults=[FieldFault(name, message)], place="header")
