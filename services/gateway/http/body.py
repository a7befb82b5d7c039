"""Reads a request's body, JSON or a form, within bounds of size and time."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from aiohttp import hdrs, web

from services.common.error_text import error_text
from services.common.fair_turns import Pace
from services.gateway.edge.body import BodyBroken, BodyTooLarge, BodyTooSlow, read_body
from services.gateway.edge.media_type import media_type
from services.gateway.http.problems import Kind, Problem
from services.gateway.http.request_deadline import clock_stopped
from services.gateway.input_rules import FieldFault, InvalidInput


class _NotJson(ValueError):
    """Python's parser takes it; JSON does not, or it would take too long."""


# To parse a larger body may take a millisecond and more; that of an order has some hundred bytes.
LARGE = 4096
_MOST_FIELDS = 20
_FORM = "application/x-www-form-urlencoded"
# Larger ones, of batches, are parsed in a thread, which takes turns with the event loop.
THREAD_BYTES = 65_536
# Commas and brackets of such a body, also those within texts. A batch of 500 orders has some 5,000; a megabyte of empty
# lists would keep the thread, and with it everything else that runs in Python, for ten times as long as the batch does.
MOST_PARTS = 20_000
# Of an integer; a float has 309 before its point. The time to read one grows with their square.
_MOST_DIGITS = 400


class MediaTypes(NamedTuple):
    """The types of body that a route takes, and the headers that say so to those who send another."""

    accepted: tuple[str, ...]
    headers: Mapping[str, str]


ONLY_JSON = MediaTypes(("application/json",), MappingProxyType({hdrs.ACCEPT: "application/json"}))
_PATCHES = ("application/merge-patch+json", "application/json")
ACCEPT_PATCH = {"Accept-Patch": ", ".join(_PATCHES)}
PATCHES = MediaTypes(_PATCHES, MappingProxyType({hdrs.ACCEPT: ", ".join(_PATCHES), **ACCEPT_PATCH}))


async def read_json(
    request: web.Request, *, limit: int, deadline: float, pace: Pace, types: MediaTypes = ONLY_JSON
) -> Any:
    """Return the body's value, not yet checked; raise Problem (4xx) or, for a key that is there twice, InvalidInput.

    ``limit`` in bytes, ``deadline`` in seconds for the whole body; a large one is parsed at the ``pace`` given.
    """
    _check_type(request, types)
    body = await _read(request, limit, deadline)
    if len(body) <= LARGE:
        return _parse(body)
    if len(body) > THREAD_BYTES:
        if sum(map(body.count, (b",", b"[", b"{"))) > MOST_PARTS:
            raise Problem(413, Kind.TOO_LARGE, f"It may have at most {MOST_PARTS} commas and brackets.")
        return await asyncio.to_thread(_parse, body)
    return await pace.whole(partial(_parse, body))


async def read_form(request: web.Request, *, limit: int, deadline: float) -> Mapping[str, str]:
    """Return the fields of a form, each once; raise Problem (4xx)."""
    if media_type(request).name != _FORM:
        raise Problem(415, Kind.HTTP, f"Send Content-Type: {_FORM}.", headers={hdrs.ACCEPT: _FORM})
    body = await _read(request, limit, deadline)
    try:
        fields = parse_qsl(body.decode(), strict_parsing=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise Problem(400, Kind.HTTP, "The form cannot be read.") from None
    if len({name for name, _ in fields}) < len(fields):
        raise Problem(400, Kind.HTTP, "A field of the form is given more than once.")
    return dict(fields)


def _parse(body: bytes) -> Any:
    try:
        return _DECODER.decode(body.decode("utf-8-sig"))  # a byte order mark may be ignored (RFC 8259, 8.1)
    except InvalidInput:
        raise
    except RecursionError:
        detail = "It is nested too deeply."
    except json.JSONDecodeError as error:
        detail = f"{error.msg} (line {error.lineno}, column {error.colno})."
    except UnicodeDecodeError:
        detail = "It is not UTF-8."
    except _NotJson as error:
        detail = error_text(error)
    raise Problem(400, Kind.NOT_JSON, detail)


def _check_type(request: web.Request, types: MediaTypes) -> None:
    # A form or plain text is refused before it is read: browsers send these across origins without asking first.
    said = media_type(request)
    if said.name not in types.accepted or said.charset not in {None, "utf-8", "utf8"}:
        detail = f"Send Content-Type: {' or '.join(types.accepted)}, in UTF-8."
        raise Problem(415, Kind.MEDIA_TYPE, detail, headers=types.headers)


async def _read(request: web.Request, limit: int, deadline: float) -> bytes:
    try:
        if request.content.is_eof():  # the client has sent all of it
            return await read_body(request, limit=limit, deadline=deadline)
        async with clock_stopped(request):
            return await read_body(request, limit=limit, deadline=deadline)
    except BodyTooLarge:
        raise Problem(413, Kind.TOO_LARGE, f"It may have at most {limit} bytes.") from None
    except BodyTooSlow:
        raise Problem(408, Kind.TOO_SLOW, f"It must be complete within {deadline:g} seconds.") from None
    except BodyBroken as error:
        raise Problem(400, Kind.NOT_JSON, "The body is broken or incomplete.") from error


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Parsers disagree on which of two equal keys counts; whoever checked this body before us may have read the other.
    seen = dict(pairs)
    if len(seen) < len(pairs):
        raise InvalidInput(FieldFault(key, "is given more than once") for key in _duplicates(pairs))
    return seen


def _duplicates(pairs: list[tuple[str, Any]]) -> Iterator[str]:
    """Give the keys that are there again, in their order and as far as they are asked for."""
    times = Counter(key for key, _ in pairs)
    return (key for key, count in times.items() if count > 1)


def _refuse_constant(name: str) -> None:
    raise _NotJson(f"{name} is not a JSON value.")


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise _NotJson("A number in it is too long.")
    return int(digits)


_DECODER = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant, parse_int=_integer)
