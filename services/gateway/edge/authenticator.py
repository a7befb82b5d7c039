"""Identifies every client, over any transport: the one place that turns credentials into a principal."""

from collections.abc import Awaitable, Callable
from time import time

from services.gateway.edge.bearers import Bearer, Bearers
from services.gateway.edge.incidents import Count, IncidentKind
from services.gateway.edge.key_source import KeySource
from services.gateway.edge.principal import Credentials, Denial, NotAuthenticated, Principal, Scope
from services.gateway.edge.tokens import TokenRules, UnknownKey, verify
from services.gateway.revocations import Revocations

OpenSession = Callable[[str], Principal]
"""Returns the principal of a session's cookie; raises NotAuthenticated."""
Redeem = Callable[[str], Awaitable[Principal | None]]
"""Returns the principal for whom a ticket was issued, once; raises NotAuthenticated where that is unknown now."""


class Authenticator:
    """The check that REST, SSE and Socket.IO share."""

    def __init__(
        self,
        rules: TokenRules,
        keys: KeySource,
        redeem: Redeem,
        open_session: OpenSession,
        count: Count,
        revocations: Revocations,
        bearers: Bearers,
    ) -> None:
        self._rules = rules
        self._keys = keys
        self._redeem = redeem
        self._open_session = open_session
        self._count = count
        self._revocations = revocations
        self._bearers = bearers

    async def identify(self, credentials: Credentials, scope: Scope | None, subject: str | None = None) -> Principal:
        """Return who the client is; raise NotAuthenticated.

        Also where its token does not allow the ``scope``, or is not of the ``subject`` that is expected.
        """
        try:
            principal = self.unrevoked(await self._principal(credentials))
        except NotAuthenticated:
            self._count(IncidentKind.TOKEN_REFUSED)
            raise
        if subject is not None and principal.subject != subject:
            self._count(IncidentKind.TOKEN_REFUSED)
            raise NotAuthenticated(Denial.OTHER_SUBJECT)
        if scope is not None and scope not in principal.scopes:
            self._count(IncidentKind.SCOPE_MISSING)
            raise NotAuthenticated(Denial.SCOPE_MISSING)
        return principal

    def keep(self, principal: Principal, end: Callable[[], None]) -> Bearer | None:
        """Have ``end`` called once its token is revoked; at once, and return None, where it was since `identify`."""
        if self._refuses(principal):
            end()
            return None
        bearer = Bearer(self._bearers, principal, end)
        self._bearers.add(bearer)
        return bearer

    def _refuses(self, principal: Principal) -> bool:
        return self._revocations.refuses(principal.subject, principal.token_id, principal.issued_at, principal.session)

    def unrevoked(self, principal: Principal) -> Principal:
        """Return the principal; raise NotAuthenticated where it is revoked, or nobody knows whether."""
        if not self._revocations.known:
            raise NotAuthenticated(Denial.UNAVAILABLE)
        if self._refuses(principal):
            raise NotAuthenticated(Denial.TOKEN_REVOKED)
        return principal

    async def _principal(self, credentials: Credentials) -> Principal:
        if credentials.token is not None:
            return await self._of_token(credentials.token)
        if credentials.ticket is not None:
            principal = await self._redeem(credentials.ticket)
            if principal is None:
                raise NotAuthenticated(Denial.TICKET_INVALID)
        elif credentials.session is not None:
            if not credentials.own_page:
                raise NotAuthenticated(Denial.FOREIGN_PAGE)
            principal = self._open_session(credentials.session)
        else:
            raise NotAuthenticated(Denial.TOKEN_MISSING)
        if principal.expires_at is not None and principal.expires_at <= time():
            raise NotAuthenticated(Denial.TOKEN_EXPIRED)
        return principal

    async def _of_token(self, token: str) -> Principal:
        if not self._keys.keys and not await self._keys.renew():
            raise NotAuthenticated(Denial.UNAVAILABLE)
        try:
            return verify(token, self._keys.keys, self._rules)
        except UnknownKey as error:
            if not await self._keys.renew():
                raise NotAuthenticated(Denial.TOKEN_INVALID) from error
        try:
            return verify(token, self._keys.keys, self._rules)
        except UnknownKey as error:
            raise NotAuthenticated(Denial.TOKEN_INVALID) from error
