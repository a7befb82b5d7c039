"""Answers OPTIONS for every address: its methods, and the bodies that they take (RFC 9110, 9.3.7)."""

from aiohttp import hdrs, web

from services.gateway.http.body import ACCEPT_PATCH, ONLY_JSON
from services.gateway.http.paths import TICKETS

# RFC 5789, 3.1, and Linked Data Platform 1.0, 7.1.
_BODIES = {hdrs.METH_POST: {"Accept-Post": ", ".join(ONLY_JSON.accepted)}, hdrs.METH_PATCH: ACCEPT_PATCH}
_ANY = "*"  # a route that answers every method itself, OPTIONS too


def answer_options(request: web.Request) -> web.Response | None:
    """Answer OPTIONS where there is something and its route does not do so itself: a check."""
    allowed = _methods_of(request) if request.method == hdrs.METH_OPTIONS else None
    if not allowed or _ANY in allowed:
        return None
    headers: dict[str, str] = {hdrs.ALLOW: ", ".join(sorted({*allowed, hdrs.METH_OPTIONS}))}
    if request.path.startswith("/api/") and request.path != TICKETS:  # which take forms, or no body
        for method in sorted(allowed & _BODIES.keys()):
            headers |= _BODIES[method]
    return web.Response(status=204, headers=headers)


def _methods_of(request: web.Request) -> set[str]:
    """Return the methods of the requested address; none where there is nothing."""
    error = request.match_info.http_exception
    if isinstance(error, web.HTTPMethodNotAllowed):
        return set(error.allowed_methods)
    return {route.method for route in request.match_info.route.resource or ()}
