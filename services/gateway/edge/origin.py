"""Decides which web pages may connect, because no browser protects websockets across origins."""

from aiohttp import hdrs, web

from services.gateway.edge.request import Request


class OriginPolicy:
    """Allows the same origin, the listed ones (compared exactly), and programs, which send no Origin at all.

    A missing Origin is safe only because no cookie authenticates anybody here.
    """

    def __init__(self, allowed: frozenset[str]) -> None:
        self._allowed = allowed

    def allows(self, request: Request) -> bool:
        """Whether the page that makes the request may have its answer."""
        origin = request.headers.get(hdrs.ORIGIN)
        return origin is None or self._lists(origin) or _same(origin, request)

    def mark(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Tell the browser that the page may read the response; nothing for the same origin, which needs nothing."""
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None or not self._lists(origin):
            return
        if origin in self._allowed:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            # For the cookies of sticky load balancers; only ever to origins that are listed by name.
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"
            response.headers[hdrs.VARY] = hdrs.ORIGIN
        else:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*"

    def preflight(self, request: web.BaseRequest) -> web.Response:
        """Answer the question a browser asks before it sends a request across origins."""
        response = web.Response(status=204)
        self.mark(request, response)
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = "GET, POST"
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = "Content-Type, Authorization"
        response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = "600"
        return response

    def _lists(self, origin: str) -> bool:
        return origin in self._allowed or "*" in self._allowed


def _same(origin: str, request: Request) -> bool:
    """Compare with the Host header; the scheme is unknown behind a proxy that ends TLS."""
    scheme, separator, host = origin.partition("://")
    return bool(separator) and scheme in {"http", "https"} and host == request.headers.get(hdrs.HOST)
