"""Makes the principal of every client, on whatever way it comes: the one place that decides who somebody is."""

from collections.abc import Awaitable, Callable
from time import time

from services.gateway.edge.key_source import KeySource
from services.gateway.edge.limits import Count, Incident
from services.gateway.edge.principal import Credentials, Denial, NotAuthenticated, Principal, Scope
from services.gateway.edge.tokens import TokenRules, UnknownKey, verify

Redeem = Callable[[str], Awaitable[Principal | None]]
"""Returns the principal for whom a ticket was issued, once; raises NotAuthenticated where that is unknown now."""


class Doors:
    """The check that REST, SSE and Socket.IO share."""

    def __init__(self, rules: TokenRules, keys: KeySource, redeem: Redeem, count: Count) -> None:
        self._rules = rules
        self._keys = keys
        self._redeem = redeem
        self._count = count

    async def identify(self, credentials: Credentials, scope: Scope, subject: str | None = None) -> Principal:
        """Return who the client is; raise NotAuthenticated.

        Also where its token does not allow the ``scope``, or is not of the ``subject`` that is expected.
        """
        try:
            principal = await self._principal(credentials)
        except NotAuthenticated:
            self._count(Incident.TOKEN_REFUSED)
            raise
        if subject is not None and principal.subject != subject:
            self._count(Incident.TOKEN_REFUSED)
            raise NotAuthenticated(Denial.OTHER_SUBJECT)
        if scope not in principal.scopes:
            self._count(Incident.SCOPE_MISSING)
            raise NotAuthenticated(Denial.SCOPE_MISSING)
        return principal

    async def _principal(self, credentials: Credentials) -> Principal:
        if credentials.token is not None:
            return await self._of_token(credentials.token)
        if credentials.ticket is None:
            raise NotAuthenticated(Denial.TOKEN_MISSING)
        principal = await self._redeem(credentials.ticket)
        if principal is None:
            raise NotAuthenticated(Denial.TICKET_INVALID)
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
