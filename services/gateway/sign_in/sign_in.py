"""Signs people in and out with the provider, without a word of HTTP towards the browser."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic
from typing import Any, NamedTuple

from services.gateway.edge.tokens import TokenRules, VerifyingKey
from services.gateway.sign_in.attempt import (
    authorization_address,
    begin_attempt,
    read_state,
    with_parameters,
    write_state,
)
from services.gateway.sign_in.claims import ClaimRules, identity_of
from services.gateway.sign_in.id_token import Logout, UnacceptableToken, id_claims, logout_of
from services.gateway.sign_in.provider import Provider, ProviderRefused, error_code
from services.gateway.sign_in.seal import Seal
from services.gateway.sign_in.session import Identity, PageSession, PageSessions

_REMEMBERED = 10_000  # logout tokens, so that none counts twice
_REMEMBERED_SECONDS = 900.0  # longer than one is accepted

EndSession = Callable[[PageSession], Awaitable[None]]
"""Ends a session, at every replica; raises NotAuthenticated where that cannot be done now."""
EndSessions = Callable[[Logout], Awaitable[None]]
"""Ends what the provider says has ended, at every replica; raises NotAuthenticated where that cannot be done now."""


class WrongState(Exception):
    """The way back from the provider is not one that began in this browser a short time ago."""


class Callback(NamedTuple):
    """What the browser brings back from the provider; None where the parameter is missing."""

    state: str | None
    code: str | None
    error: str | None
    issuer: str | None


class SignInRules(NamedTuple):
    """Who we are to the provider, what we ask it for, and how its claims are read."""

    scopes: str
    tokens: TokenRules  # the audience is our client id
    claims: ClaimRules

    @property
    def client_id(self) -> str:
        """Our name at the provider."""
        return self.tokens.audience or ""


class SignIn:
    """The steps of OpenID Connect's code flow with PKCE, of a renewal, and of signing out."""

    def __init__(
        self,
        provider: Provider,
        rules: SignInRules,
        sessions: PageSessions,
        states: Seal,
        end_session: EndSession,
        end_sessions: EndSessions,
    ) -> None:
        self._provider = provider
        self._rules = rules
        self._states = states
        self._end_session = end_session
        self._end_sessions = end_sessions
        self._logouts: OrderedDict[str, float] = OrderedDict()
        self.sessions = sessions

    async def begin(self, browser: str, to: str, redirect_uri: str) -> str:
        """Return the provider's address to go to; raise ProviderUnavailable or NoSecret."""
        attempt = begin_attempt(browser, to)
        state = write_state(attempt, self._states)
        endpoint = (await self._provider.description()).authorization_endpoint
        return authorization_address(endpoint, self._rules.client_id, self._rules.scopes, redirect_uri, attempt, state)

    async def complete(self, back: Callback, browser: str | None, redirect_uri: str) -> tuple[PageSession, str]:
        """Return a new session and the path to go to.

        Raise WrongState, ProviderRefused, ProviderUnavailable, UnacceptableToken or NoSecret.
        """
        attempt = read_state(back.state or "", browser, self._states)
        if attempt is None:
            raise WrongState
        description = await self._provider.description()
        # RFC 9207: another provider's answer must not be taken for this one's.
        if back.issuer != description.issuer and (
            back.issuer is not None or description.authorization_response_iss_parameter_supported
        ):
            raise UnacceptableToken("the answer is another provider's")
        if back.error is not None or not back.code:
            raise ProviderRefused("no code" if back.error is None else error_code(back.error))
        tokens = await self._provider.exchange(back.code, attempt.verifier, redirect_uri)
        identity = await self._identity(tokens.id_token, attempt.nonce)
        return self.sessions.begin(identity, tokens.refresh_token), attempt.to

    async def renew(self, session: PageSession) -> PageSession:
        """Return the session for longer, with the rights of now.

        Raise ProviderRefused, ProviderUnavailable or UnacceptableToken.
        """
        tokens = await self._provider.refresh(session.refresh_token)
        identity = await self._identity(tokens.id_token, None)
        if identity.subject != session.subject:
            raise UnacceptableToken("it belongs to another person")
        return self.sessions.renewed(session, identity, tokens.refresh_token or session.refresh_token)

    async def _identity(self, id_token: str, nonce: str | None) -> Identity:
        if not id_token:
            # Rights are as fresh as the session: nothing else says what they are now.
            raise UnacceptableToken("there is no ID token")

        def claims(keys: Sequence[VerifyingKey]) -> Mapping[str, Any]:
            return id_claims(id_token, keys, self._rules.tokens, nonce)

        return identity_of(await self._provider.verified(claims), self._rules.claims)

    async def end(self, session: PageSession) -> None:
        """End the session everywhere; raise NotAuthenticated where that cannot be done now."""
        await self._end_session(session)

    async def farewell_address(self, home: str) -> str | None:
        """Return where the browser signs out at the provider too, if the provider has a place for that.

        Raise ProviderUnavailable.
        """
        endpoint = (await self._provider.description()).end_session_endpoint
        if endpoint is None:
            return None
        return with_parameters(endpoint, {"client_id": self._rules.client_id, "post_logout_redirect_uri": home})

    async def end_by_provider(self, logout_token: str) -> None:
        """End the sessions that the provider names; a token that has come before changes nothing.

        Raise UnacceptableToken, ProviderUnavailable or NotAuthenticated.
        """

        def read(keys: Sequence[VerifyingKey]) -> Logout:
            return logout_of(logout_token, keys, self._rules.tokens)

        logout = await self._provider.verified(read)
        if not self._is_known(logout.id):
            await self._end_sessions(logout)
            self._remember(logout.id)

    def _is_known(self, id: str) -> bool:
        now = monotonic()
        while self._logouts and next(iter(self._logouts.values())) < now - _REMEMBERED_SECONDS:
            self._logouts.popitem(last=False)
        return id in self._logouts

    def _remember(self, id: str) -> None:
        self._logouts[id] = monotonic()
        if len(self._logouts) > _REMEMBERED:
            self._logouts.popitem(last=False)
