"""The routes of sign-in: to the provider and back, renewal, and both ways to sign out."""

from contextlib import AbstractAsyncContextManager

import structlog
from aiohttp import hdrs, web

from services.common.documents import dumps
from services.common.error_text import error_text
from services.gateway.edge.authenticator import Authenticator
from services.gateway.edge.entrance import Entrance
from services.gateway.edge.incidents import Count, IncidentKind
from services.gateway.edge.log_throttle import LogThrottle
from services.gateway.edge.principal import Denial, NotAuthenticated
from services.gateway.edge.quota import Use
from services.gateway.http.body import read_form
from services.gateway.http.identity import refusal_problem
from services.gateway.http.limits import costs
from services.gateway.http.problems import Kind, Problem, problem_response
from services.gateway.in_flight import InFlight, Patience
from services.gateway.sign_in.attempt import local_path
from services.gateway.sign_in.browser import (
    browser_of,
    forget_session,
    keep_browser,
    keep_session,
    keeps_cookies,
    new_browser,
    origin_of,
)
from services.gateway.sign_in.error_page import error_page
from services.gateway.sign_in.id_token import UnacceptableToken
from services.gateway.sign_in.provider import ProviderRefused, ProviderUnavailable
from services.gateway.sign_in.seal import NoSecret
from services.gateway.sign_in.session import PageSession, TooLarge
from services.gateway.sign_in.sign_in import Callback, SignIn, WrongState
from services.gateway.sign_in.who import SIGN_IN, described

CALLBACK = "/auth/callback"
RENEW = "/auth/renew"
SIGN_OUT = "/auth/sign-out"
BACK_CHANNEL = "/auth/back-channel-logout"
_HOME = "/"
_LARGEST_FORM = 65_536  # bytes
_FORM_SECONDS = 10.0
_NO_STORE = {hdrs.CACHE_CONTROL: "no-store"}
_LATER = "The sign-in service does not answer now. Try again in a moment."
# Requests for tokens that one address causes at once, a tenth of all: with any code whoever has begun to sign in causes
# one. The next ones wait, so that an office can sign in all the same.
_OF_ONE = 5
_WAIT_SECONDS, _FULL_SECONDS = 4.0, 2.0

log = structlog.get_logger("gateway")


class SignInRoutes:
    """The routes; sessions come from here, and are looked at in `Authenticator`."""

    def __init__(self, sign_in: SignIn, authenticator: Authenticator, entrance: Entrance, count: Count) -> None:
        self._sign_in = sign_in
        self._authenticator = authenticator
        self._entrance = entrance
        self._count = count
        self._throttle = LogThrottle()
        self._at_once = InFlight(_OF_ONE, Patience(_WAIT_SECONDS, _FULL_SECONDS, _too_many))

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, ready for ``app.add_routes``."""
        return [
            web.get(SIGN_IN, self.begin, allow_head=False),
            web.get(CALLBACK, self.complete, allow_head=False),
            web.post(RENEW, self.renew),
            web.post(SIGN_OUT, self.sign_out),
            web.post(BACK_CHANNEL, self.back_channel),
        ]

    @costs(Use.HANDSHAKES)
    async def begin(self, request: web.Request) -> web.Response:
        """Send the browser to the provider."""
        to = local_path(request.query.get("to", _HOME))
        if to is None:
            return error_page(400, "The address to return to is not a page of this server.")
        origin = origin_of(request, self._entrance.peers)
        if not keeps_cookies(origin):
            return error_page(400, "Sign-in needs https: over http the browser does not keep the session.", to)
        browser = browser_of(request) or new_browser()
        try:
            address = await self._sign_in.begin(browser, to, origin + CALLBACK)
        except (ProviderUnavailable, NoSecret) as error:
            self._failed(error)
            return error_page(503, _LATER, to, retry_after=5)
        response = web.Response(status=302, headers={**_NO_STORE, hdrs.LOCATION: address})
        keep_browser(response, browser)
        return response

    @costs(Use.HANDSHAKES)
    async def complete(self, request: web.Request) -> web.Response:
        """Take the browser back from the provider, with a session."""
        query = request.query
        back = Callback(query.get("state"), query.get("code"), query.get("error"), query.get("iss"))
        redirect_uri = origin_of(request, self._entrance.peers) + CALLBACK
        try:
            async with self._turn(request):
                session, to = await self._sign_in.complete(back, browser_of(request), redirect_uri)
            response = web.Response(status=303, headers={**_NO_STORE, hdrs.LOCATION: to})
            keep_session(response, session, self._sign_in.sessions)
        except (WrongState, ProviderRefused, UnacceptableToken, TooLarge, ProviderUnavailable, NoSecret) as error:
            return self._unfinished(error)
        return response

    def _unfinished(self, error: Exception) -> web.Response:
        self._failed(error)
        match error:
            case WrongState():
                return error_page(400, "This sign-in was begun in another browser, too long ago, or not at all.")
            case ProviderRefused():
                return error_page(403, "The sign-in service did not let you in.")
            case TooLarge():
                return error_page(403, "Your rights are too large for a session. Tell the operator.")
            case UnacceptableToken():
                return error_page(403, "The sign-in service gave an invalid answer.")
            case _:
                return error_page(503, _LATER, retry_after=5)

    async def renew(self, request: web.Request) -> web.Response:
        """Let the session of the cookie live longer, with the rights of now."""
        session = self._own_session(request)
        if not session.refresh_token:
            raise Problem(409, Kind.HTTP, "This session cannot be renewed: sign in again.")
        try:
            async with self._turn(request):
                renewed = await self._sign_in.renew(session)
            response = web.Response(
                body=dumps(described(renewed)), content_type="application/json", headers=dict(_NO_STORE)
            )
            keep_session(response, renewed, self._sign_in.sessions)
        except (ProviderUnavailable, NoSecret) as error:
            self._failed(error)
            raise refusal_problem(Denial.UNAVAILABLE) from error
        except (ProviderRefused, UnacceptableToken, TooLarge) as error:
            self._failed(error)
            gone = problem_response(refusal_problem(Denial.SESSION_ENDED))
            forget_session(gone)
            return gone
        return response

    async def sign_out(self, request: web.Request) -> web.Response:
        """End the session everywhere, and say where the browser signs out at the provider."""
        if self._entrance.credentials(request).session is None:
            raise refusal_problem(Denial.TOKEN_MISSING)
        try:
            session = self._own_session(request)
        except Problem as problem:
            if problem.status != 401:
                raise
            session = None  # it is over already: the cookies go all the same
        if session is not None:
            try:
                await self._sign_in.end(session)
            except NotAuthenticated as error:
                detail = "You are signed out in this browser only: the session could not be ended everywhere."
                unsure = problem_response(Problem(503, Kind.HTTP, detail, headers={hdrs.RETRY_AFTER: "2"}))
                log.warning("Could not end a session, it is signed out in its browser only", reason=error.denial.value)
                forget_session(unsure)
                return unsure
        home = origin_of(request, self._entrance.peers) + _HOME
        try:
            address = await self._sign_in.farewell_address(home)
        except ProviderUnavailable:
            address = None
        response = web.Response(
            body=dumps({"continue_at": address}), content_type="application/json", headers=dict(_NO_STORE)
        )
        forget_session(response)
        return response

    async def back_channel(self, request: web.Request) -> web.Response:
        """End the sessions that the provider says have ended (OpenID Connect Back-Channel Logout)."""
        form = await read_form(request, limit=_LARGEST_FORM, deadline=_FORM_SECONDS)
        try:
            await self._sign_in.end_by_provider(form.get("logout_token", ""))
        except UnacceptableToken as error:
            self._failed(error)
            body = dumps({"error": "invalid_request", "error_description": error_text(error)})
            return web.Response(status=400, body=body, content_type="application/json", headers=dict(_NO_STORE))
        except (ProviderUnavailable, NotAuthenticated) as error:
            raise refusal_problem(Denial.UNAVAILABLE) from error
        return web.Response(headers=dict(_NO_STORE))

    def _turn(self, request: web.Request) -> AbstractAsyncContextManager[None]:
        return self._at_once.slot(self._entrance.peers.account(request))

    def _own_session(self, request: web.Request) -> PageSession:
        credentials = self._entrance.credentials(request)
        if credentials.session is None:
            raise refusal_problem(Denial.TOKEN_MISSING)
        if not credentials.own_page:
            self._count(IncidentKind.TOKEN_REFUSED)
            raise refusal_problem(Denial.FOREIGN_PAGE)
        try:
            self._authenticator.unrevoked(self._sign_in.sessions.principal(credentials.session))
            return self._sign_in.sessions.read(credentials.session)
        except NotAuthenticated as refusal:
            self._count(IncidentKind.TOKEN_REFUSED)
            raise refusal_problem(refusal.denial) from refusal

    def _failed(self, error: Exception) -> None:
        self._count(IncidentKind.TOKEN_REFUSED)
        unlogged = self._throttle.passes()  # anyone can cause these
        if unlogged is not None:
            reason = "" if isinstance(error, (WrongState, TooLarge, NoSecret)) else error_text(error)
            kind = type(error).__name__
            log.warning("A sign-in failed", kind=kind, reason=reason[:200], unlogged_before=unlogged)


def _too_many() -> ProviderUnavailable:
    return ProviderUnavailable("too many sign-ins of one address are in progress")
