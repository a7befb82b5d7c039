"""Refuses requests that accept nothing of what their route answers, before anything is done (406)."""

from aiohttp import hdrs, web

from services.gateway.http.accept import EVENT_STREAM, require_accepted
from services.gateway.http.identity import COLLECTION, STREAM
from services.gateway.http.problems import DOCS

_READS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})
# By the route's address; everything else is JSON.
_PRODUCED = {DOCS: "text/html", STREAM: EVENT_STREAM}


def check_accept(request: web.Request) -> None:
    """Answer 406 where `Accept` excludes what there is; the list has several forms, and chooses itself: a check."""
    resource = request.match_info.route.resource
    if resource is None or not request.path.startswith("/api/") or request.method == hdrs.METH_OPTIONS:
        return
    if resource.canonical != COLLECTION or request.method not in _READS:
        require_accepted(request, _PRODUCED.get(resource.canonical, "application/json"))
