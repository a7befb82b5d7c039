"""The cookies of sign-in: their names, and how one is read from a request."""

from aiohttp import hdrs

from services.gateway.edge.request import Request

# `__Host-`: only this very host can set it, over TLS; no subdomain and no plain connection can plant one.
SESSION_COOKIE = "__Host-orders-session"
SIGN_IN_COOKIE = "__Host-orders-sign-in"
# For scripts of the page, so that without a session it does not ask for one.
SIGNED_IN_COOKIE = "__Host-orders-signed-in"

LONGEST_COOKIE = 4096  # bytes with its name and attributes, as browsers count


def cookie(request: Request, name: str) -> str | None:
    """Return the value of the cookie, empty where it is ambiguous or too long, or None."""
    lines = request.headers.getall(hdrs.COOKIE, [])
    if not lines:
        return None
    given = (pair.strip().partition("=") for line in lines for pair in line.split(";"))
    values = [value for key, separator, value in given if separator and key == name]
    if not values:
        return None
    return values[0] if len(values) == 1 and len(values[0]) <= LONGEST_COOKIE else ""
