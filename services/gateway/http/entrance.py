"""Checks the entrance for every request, whether or not its route exists."""

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from services.gateway.edge.entrance import Entrance, EntranceRefusal
from services.gateway.http.problems import Kind, Problem


def install_entrance(app: web.Application, entrance: Entrance) -> None:
    """Check the entrance before every route of `app`, and set CORS headers on every response, streams too.

    Call it after adding the middleware that answers problems.
    """

    async def mark(request: web.Request, response: web.StreamResponse) -> None:
        entrance.origins.mark(request, response)

    app.middlewares.append(_middleware(entrance))
    app.on_response_prepare.append(mark)


def _middleware(entrance: Entrance) -> Middleware:
    @web.middleware
    async def check_entrance(request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = entrance.refuse(request, _target(request))
        if refusal is not None:
            return _answer(request, refusal)
        return entrance.origins.preflight(request) or await handler(request)

    return check_entrance


def _target(request: web.Request) -> str | None:
    """Return the host of a target in absolute form, which takes precedence over `Host` (RFC 9112, 3.2.2)."""
    host = request.host
    if host == request.headers.get(hdrs.HOST, host):
        return None
    return f"[{host}]" if ":" in host else host


def _answer(request: web.Request, refusal: EntranceRefusal) -> web.Response:
    if request.path.startswith("/api/"):
        raise Problem(refusal.status, Kind.HTTP, refusal.detail)
    response = web.Response(status=refusal.status, text=f"{refusal.detail}\n", headers={"Cache-Control": "no-store"})
    response.force_close()  # the request's body, if any, is not worth reading
    return response
