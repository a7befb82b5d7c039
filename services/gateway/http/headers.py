"""Adds the security headers: browsers must not guess a response's type, frame it, or cache the API's responses."""

from aiohttp import web

_EVERYWHERE = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_API = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-site",
}


def add_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers that the response does not set itself."""
    for name, value in _EVERYWHERE.items():
        response.headers.setdefault(name, value)
    if request.path.startswith(("/api/", "/auth/")):
        for name, value in _API.items():
            response.headers.setdefault(name, value)
