"""Checks the entrance for every request, whether or not its route exists."""

from aiohttp import hdrs, web

from services.front.checks import Check
from services.gateway.edge.entrance import Entrance, EntranceRefusal
from services.gateway.http.problems import Kind, Problem


def check_entrance(entrance: Entrance) -> Check:
    """Return the check: it answers those who are not let in, and the preflights of those who are."""

    def check(request: web.Request) -> web.Response | None:
        refusal = entrance.refuse(request, _target(request))
        if refusal is not None:
            return _answer(request, refusal)
        return entrance.origins.preflight(request)

    return check


def _target(request: web.Request) -> str | None:
    """Return the host of a target in absolute form, which takes precedence over `Host` (RFC 9112, 3.2.2)."""
    host = request.host
    if host == request.headers.get(hdrs.HOST, host):
        return None
    return f"[{host}]" if ":" in host else host


def _answer(request: web.Request, refusal: EntranceRefusal) -> web.Response:
    if request.path.startswith(("/api/", "/auth/")):
        raise Problem(refusal.status, Kind.HTTP, refusal.detail)
    response = web.Response(status=refusal.status, text=f"{refusal.detail}\n", headers={"Cache-Control": "no-store"})
    response.force_close()  # the request's body, if any, is not worth reading
    return response
