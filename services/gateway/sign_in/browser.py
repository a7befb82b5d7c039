"""What the routes of sign-in read from a browser's request, and which cookies they leave with it."""

import re

from aiohttp import hdrs, web

from services.common.authority import Authority, is_loopback
from services.gateway.edge.cookies import SESSION_COOKIE, SIGN_IN_COOKIE, SIGNED_IN_COOKIE, cookie
from services.gateway.edge.peer import Peers
from services.gateway.edge.request import Request
from services.gateway.sign_in.attempt import SECONDS, random_text
from services.gateway.sign_in.session import PageSession, PageSessions

_OURS = re.compile(r"[0-9A-Za-z_-]{43}", re.ASCII)


def origin_of(request: Request, peers: Peers) -> str:
    """Return scheme, host and port under which the browser has asked, which the entrance has let in.

    Where nobody says the scheme, it is https for all but this machine: elsewhere no browser keeps our cookies.
    """
    host = request.headers[hdrs.HOST]
    scheme = peers.scheme(request)
    if scheme is None:
        known = Authority.parse(host)
        scheme = "http" if known is not None and is_loopback(known.host) else "https"
    return f"{scheme}://{host}"


def keeps_cookies(origin: str) -> bool:
    """Tell whether browsers keep cookies that are `Secure` from this origin."""
    scheme, _, host = origin.partition("://")
    known = Authority.parse(host)
    return scheme == "https" or (known is not None and is_loopback(known.host))


def browser_of(request: Request) -> str | None:
    """Return the value that ties attempts to sign in to this browser, if it has one."""
    given = cookie(request, SIGN_IN_COOKIE)
    return given if given and _OURS.fullmatch(given) else None


def new_browser() -> str:
    """Return a value for a browser that has none."""
    return random_text()


def keep_browser(response: web.Response, browser: str) -> None:
    """Let the browser keep it for as long as an attempt may take."""
    _keep(response, SIGN_IN_COOKIE, browser, SECONDS)


def keep_session(response: web.Response, session: PageSession, sessions: PageSessions) -> None:
    """Let the browser keep the session for as long as it can be renewed; raise TooLarge or NoSecret."""
    seconds = sessions.ends_at(session.signed_in_at) - session.renewed_at
    _keep(response, SESSION_COOKIE, sessions.write(session), seconds)
    _keep(response, SIGNED_IN_COOKIE, "1", seconds, hidden=False)


def forget_session(response: web.StreamResponse) -> None:
    """Take the session from the browser."""
    for name in (SESSION_COOKIE, SIGNED_IN_COOKIE):
        response.del_cookie(name, path="/", secure=True, httponly=name == SESSION_COOKIE, samesite="Lax")


def _keep(response: web.Response, name: str, value: str, seconds: int, *, hidden: bool = True) -> None:
    response.set_cookie(name, value, max_age=seconds, path="/", secure=True, httponly=hidden, samesite="Lax")
