"""Chooses what is answered by the request's `Accept` (RFC 9110, section 12.5.1), or answers 406."""

import re
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from aiohttp import hdrs, web

from services.gateway.http.paths import COLLECTION, DOCS, STREAM
from services.gateway.http.problems import Kind, Problem

EVENT_STREAM = "text/event-stream"

_READS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})
# What the routes answer, by their addresses; everything else below /api/ is JSON.
_PRODUCED = {DOCS: "text/html", STREAM: EVENT_STREAM}


class Media(Enum):
    """The forms of a list that ends, the preferred one first."""

    JSON = "application/json"
    NDJSON = "application/x-ndjson"
    CSV = "text/csv"


_RANGE = re.compile(r"[^\s/;,]+/[^\s/;,]+")
_WEIGHT = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
_NAMED = 2
_MOST = 50  # ranges that are looked at, and parameters of each; browsers send a handful


class Preference(NamedTuple):
    """How much a client wants a media type, from 0 to 1, and how closely it has named it: itself, `text/*` or `*/*`."""

    weight: float
    closeness: int


def preference(accept: str, media_type: str) -> Preference:
    """Return what the header says of the type; of several ranges that include it, the closest one counts."""
    kind = media_type.partition("/")[0]
    ranges = (media_type, f"{kind}/*", "*/*")
    found = [Preference(weight, _NAMED - ranges.index(asked)) for asked, weight in _ranges(accept) if asked in ranges]
    return max(found, key=lambda each: (each.closeness, each.weight), default=Preference(0.0, 0))


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    """Return the media ranges and their weights, as far as they can be understood."""
    for element in accept.split(",", _MOST)[:_MOST]:
        asked, *parameters = (part.strip().lower() for part in element.split(";", _MOST))
        weight = next((each[2:] for each in parameters if each.startswith("q=")), "1")
        if _RANGE.fullmatch(asked) and _WEIGHT.fullmatch(weight):
            yield asked, float(weight)


def prefers_events(request: web.BaseRequest) -> bool:
    """Tell whether the client wants a list as events: it names their type, and prefers no other form of a list."""
    if request.method not in _READS:
        return False
    accept = _accept(request)
    if EVENT_STREAM not in accept.lower():
        return False
    events = preference(accept, EVENT_STREAM)
    return events.closeness == _NAMED and events > max(preference(accept, each.value) for each in Media)


def opens_stream(request: web.BaseRequest) -> bool:
    """Tell whether the request is for a stream of events, which lasts as long as its client stays."""
    return request.path == STREAM or (request.path == COLLECTION and prefers_events(request))


def check_accept(request: web.Request) -> None:
    """Answer 406 before anything is done where `Accept` excludes what the route answers: a check.

    Not for the list, which has several forms: its route chooses one by `accepted`.
    """
    resource = request.match_info.route.resource
    if resource is None or not request.path.startswith("/api/") or request.method == hdrs.METH_OPTIONS:
        return
    if resource.canonical != COLLECTION or request.method not in _READS:
        require_accepted(request, _PRODUCED.get(resource.canonical, "application/json"))


def accepted(request: web.BaseRequest) -> Media:
    """Return the form that the client likes best; raise a Problem (406) where it takes none of them."""
    require_accepted(request, *(media.value for media in Media), also=(EVENT_STREAM,))
    accept = _accept(request)
    return max(Media, key=lambda media: preference(accept, media.value).weight)  # of equals, the first


def require_accepted(request: web.BaseRequest, *there: str, also: tuple[str, ...] = ()) -> None:
    """Raise a Problem (406) that names all types, ``also`` too, unless the client takes one of those there."""
    accept = _accept(request)
    if accept in {"", "*/*"} or not any(_ranges(accept)):
        return  # it is absent, takes anything, or says nothing that can be understood
    if not any(preference(accept, media_type).weight for media_type in there):
        raise Problem(406, Kind.HTTP, f"Accept one of {', '.join((*there, *also))}.")


def _accept(request: web.BaseRequest) -> str:
    return ",".join(request.headers.getall(hdrs.ACCEPT, []))
