"""Tells the page who it is for: `GET /auth/session`."""

from time import time

from aiohttp import hdrs, web

from services.common.documents import Json, dumps, iso_at
from services.gateway.edge.authenticator import Authenticator
from services.gateway.edge.entrance import Entrance
from services.gateway.edge.principal import NotAuthenticated, Principal
from services.gateway.http.identity import refusal_problem
from services.gateway.http.problems import problem_response
from services.gateway.sign_in.session import PageSession, PageSessions

SESSION = "/auth/session"
SIGN_IN = "/auth/sign-in"


class WhoRoutes:
    """The route; without ``sessions`` there is no sign-in, and only tokens say who somebody is."""

    def __init__(self, authenticator: Authenticator, entrance: Entrance, sessions: PageSessions | None) -> None:
        self._authenticator = authenticator
        self._entrance = entrance
        self._sessions = sessions

    def routes(self) -> list[web.RouteDef]:
        """Return the route, ready for ``app.add_routes``."""
        return [web.get(SESSION, self.tell)]

    async def tell(self, request: web.Request) -> web.Response:
        """Answer who makes the request; 401, with the reason and where to sign in, where that is nobody."""
        credentials = self._entrance.credentials(request)
        try:
            principal = await self._authenticator.identify(credentials, None)
        except NotAuthenticated as refusal:
            sign_in = SIGN_IN if self._sessions is not None else None
            answer = problem_response(refusal_problem(refusal.denial), sign_in=sign_in)
            answer.headers[hdrs.CACHE_CONTROL] = "no-store"
            return answer
        body = _of_token(principal)
        if self._sessions is not None and credentials.session is not None:
            body = described(self._sessions.read(credentials.session))
        return web.Response(body=dumps(body), content_type="application/json", headers={hdrs.CACHE_CONTROL: "no-store"})


def described(session: PageSession) -> dict[str, Json]:
    """Return what the page is told of its session."""
    known: dict[str, Json] = {"subject": session.subject, "name": session.name, "scopes": [*session.scopes]}
    return {**known, **_until(session.expires_at), "renewable": bool(session.refresh_token)}


def _of_token(principal: Principal) -> dict[str, Json]:
    scopes: list[Json] = [*sorted(principal.scopes)]
    known: dict[str, Json] = {"subject": principal.subject, "name": principal.subject, "scopes": scopes}
    return {**known, **_until(principal.expires_at), "renewable": False}


def _until(expires_at: float | None) -> dict[str, Json]:
    if expires_at is None:
        return {"expires_at": None, "expires_in": None}
    # In seconds as well: the clock of the browser may be wrong.
    return {"expires_at": iso_at(expires_at), "expires_in": round(expires_at - time(), 3)}
