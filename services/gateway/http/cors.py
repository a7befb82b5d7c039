"""Lets pages of the configured other origins read the API, and no others."""

from collections.abc import Iterable
from typing import TypeGuard

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

_METHODS = "GET, HEAD, POST, PUT, DELETE"
_REQUEST_HEADERS = "Content-Type, Last-Event-ID, Cache-Control"
_PREFLIGHT_SECONDS = "600"


class Cors:
    """Origins are compared exactly, scheme, host and port: `https://evil-example.com` is not `https://example.com`.

    `*` among them means every origin. Credentials are never allowed, because the API has none that a browser would
    send by itself.
    """

    def __init__(self, origins: Iterable[str], exposed: Iterable[str]) -> None:
        self._origins = frozenset(origins)
        self._exposed = ", ".join(exposed)

    def install(self, app: web.Application) -> None:
        """Answer preflights, and mark every response of ``app``, streams included; without origins, do nothing."""
        if not self._origins:
            return
        app.middlewares.insert(0, self._preflights())
        app.on_response_prepare.append(self._mark)

    def _preflights(self) -> Middleware:
        @web.middleware
        async def answer_preflights(request: web.Request, handler: Handler) -> web.StreamResponse:
            asks = request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
            if not asks or not self._allows(request.headers.get(hdrs.ORIGIN)):
                return await handler(request)
            headers = {
                hdrs.ACCESS_CONTROL_ALLOW_METHODS: _METHODS,
                hdrs.ACCESS_CONTROL_ALLOW_HEADERS: _REQUEST_HEADERS,
                hdrs.ACCESS_CONTROL_MAX_AGE: _PREFLIGHT_SECONDS,
            }
            return web.Response(status=204, headers=headers)

        return answer_preflights

    def _allows(self, origin: str | None) -> TypeGuard[str]:
        return origin is not None and (origin in self._origins or "*" in self._origins)

    async def _mark(self, request: web.Request, response: web.StreamResponse) -> None:
        # Always, or a cache would hand the answer for one origin to another.
        response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        origin = request.headers.get(hdrs.ORIGIN)
        if self._allows(origin):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin if origin in self._origins else "*"
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = self._exposed
