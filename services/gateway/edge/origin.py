"""Decides which origins may connect, and sets the CORS headers: one rule for REST, SSE, polling and websockets."""

import re
from collections.abc import Iterable

from aiohttp import hdrs, web

from services.common.authority import Authority
from services.gateway.edge.request import Request

_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
_REQUEST_HEADERS = (
    "Authorization",
    "Cache-Control",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
)
_PREFLIGHT_SECONDS = "600"
_TOKEN = re.compile(r"[0-9A-Za-z!#$%&'*+.^_`|~-]{1,64}", re.ASCII)


class OriginPolicy:
    """Allows the same origin, the listed ones (scheme, host and port), and programs, which send no Origin at all.

    `*` in the list means every origin. None of them is ever granted credentials: a page of another origin sends a token
    or a ticket of its own. What a cookie may authenticate, `is_own_page` decides.
    """

    def __init__(self, listed: Iterable[str] = (), exposed: Iterable[str] = ()) -> None:
        names = frozenset(listed)
        self._any = "*" in names
        # Normalized as browsers do: a listed origin may be typed in capitals or with the default port.
        self._listed = frozenset(_normal(name) or name for name in names - {"*"})
        self._exposed = ", ".join(exposed)

    def allows(self, request: Request, scheme: str | None = None) -> bool:
        """Tell whether the request's origin is allowed; `scheme` is the request's own, where known."""
        origins = request.headers.getall(hdrs.ORIGIN, [])
        if len(origins) > 1:
            return False
        return not origins or self._lists(origins[0]) or _same(origins[0], request.headers.get(hdrs.HOST, ""), scheme)

    def add_headers(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Set the CORS headers that let a page of a listed origin read the response; the same origin needs none."""
        if self._listed:  # on every response, or a cache would serve one origin's response to another
            known = response.headers.get(hdrs.VARY)
            response.headers[hdrs.VARY] = hdrs.ORIGIN if known is None else f"{known}, {hdrs.ORIGIN}"
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None or not self._lists(origin):
            return
        if origin in self._listed:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        else:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*"
        if self._exposed:
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = self._exposed

    def preflight(self, request: web.BaseRequest) -> web.Response | None:
        """Return the response to the preflight of a listed origin, or None for any other request.

        All requested headers are granted, as the reference server does: a listed page is trusted with them.
        """
        origin = request.headers.get(hdrs.ORIGIN, "")
        asks = request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
        if not asks or not self._lists(origin):
            return None
        wanted = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "").split(",")
        known = {name.lower() for name in _REQUEST_HEADERS}
        more = [name.strip() for name in wanted if name.strip().lower() not in known]
        granted = [*_REQUEST_HEADERS, *filter(_TOKEN.fullmatch, more)]
        headers = {
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: _METHODS,
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: ", ".join(granted),
            hdrs.ACCESS_CONTROL_MAX_AGE: _PREFLIGHT_SECONDS,
            hdrs.VARY: hdrs.ACCESS_CONTROL_REQUEST_HEADERS,
        }
        return web.Response(status=204, headers=headers)

    def _lists(self, origin: str) -> bool:
        return self._any or origin in self._listed


def is_own_page(request: Request, scheme: str | None = None) -> bool:
    """Tell whether a page of the request's own origin makes it, so that it may be authenticated by a cookie.

    A write must prove that, by `Origin` or else by `Sec-Fetch-Site`, which no page can forge. A read must not show the
    contrary: browsers send neither with a GET of the same origin where they are old, and always `Origin` with
    websockets and with reads that a page of another origin could look at.
    """
    origins = request.headers.getall(hdrs.ORIGIN, [])
    site = request.headers.get("Sec-Fetch-Site")
    if origins:
        return len(origins) == 1 and _same(origins[0], request.headers.get(hdrs.HOST, ""), scheme)
    if request.method in {hdrs.METH_GET, hdrs.METH_HEAD}:
        return site in {None, "same-origin", "none"}  # none: a person typed the address
    return site == "same-origin"


def _same(origin: str, host: str, scheme: str | None) -> bool:
    """Compare with the Host header, both normalized and with default ports (RFC 3986, 6.2)."""
    theirs, separator, rest = origin.partition("://")
    theirs = theirs.lower()
    page, ours = Authority.parse(rest), Authority.parse(host)
    if not separator or theirs not in {"http", "https"} or page is None or ours is None:
        return False
    if scheme is not None and scheme != theirs:
        return False
    return page.host == ours.host and page.port_for(theirs) == ours.port_for(theirs)


def _normal(origin: str) -> str | None:
    scheme, separator, rest = origin.partition("://")
    page = Authority.parse(rest)
    if not separator or page is None:
        return None
    scheme, port = (
        scheme.lower(),
        "" if page.port in {None, Authority("", None).port_for(scheme.lower())} else f":{page.port}",
    )
    return f"{scheme}://{f'[{page.host}]' if ':' in page.host else page.host}{port}"
