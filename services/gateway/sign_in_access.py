"""Builds sign-in, as the settings say; it ends sessions by revoking them."""

from services.gateway.access_settings import WithoutRights
from services.gateway.edge.principal import Denial, NotAuthenticated
from services.gateway.edge.tokens import TokenRules
from services.gateway.revocations import RevocationsUnavailable, TooManyRevocations
from services.gateway.revoking import Revoking
from services.gateway.settings import GatewaySettings
from services.gateway.sign_in.claims import ClaimRules
from services.gateway.sign_in.id_token import Logout
from services.gateway.sign_in.provider import Client, Provider
from services.gateway.sign_in.roles import parse_roles
from services.gateway.sign_in.seal import Seal
from services.gateway.sign_in.session import Lifespans, PageSession, PageSessions, session_at_provider
from services.gateway.sign_in.sign_in import SignIn, SignInRules


def sign_in_of(settings: GatewaySettings, sessions: Seal, states: Seal, revoking: Revoking | None) -> SignIn:
    """Return the way in at the provider of the settings."""
    issuer, client_id = settings.oidc_issuer, settings.oidc_client_id
    rights_claim = settings.oidc_rights_claim or settings.jwt_rights_claim
    all_rows = settings.jwt_without_rights is WithoutRights.ALL
    endings = _Endings(revoking)
    return SignIn(
        Provider(issuer, Client(client_id, settings.oidc_client_secret.get_secret_value())),
        SignInRules(
            settings.oidc_scopes,
            TokenRules(issuer, client_id, settings.jwt_leeway_seconds, rights_claim, all_rows),
            ClaimRules(settings.oidc_scope_claim, parse_roles(settings.oidc_roles), rights_claim, all_rows),
        ),
        PageSessions(sessions, Lifespans(settings.oidc_session_seconds, settings.oidc_sign_in_seconds)),
        states,
        endings.end_session,
        endings.end_sessions,
    )


class _Endings:
    def __init__(self, revoking: Revoking | None) -> None:
        self._revoking = revoking

    async def end_session(self, session: PageSession) -> None:
        """Refuse this session from now on, at every gateway."""
        await self._revoke(token_id=session.id, by=session.subject)

    async def end_sessions(self, logout: Logout) -> None:
        """Refuse those that began before the logout: of the session at the provider, or else of the subject."""
        named = logout.subject if logout.provider_session is None else session_at_provider(logout.provider_session)
        # Its time is in whole seconds. By its own, and not by ours: so a token that comes twice ends nothing new.
        await self._revoke(subject=named, issued_before=logout.issued_at + 1, by="the OpenID provider")

    async def _revoke(
        self, *, by: str, subject: str | None = None, token_id: str | None = None, issued_before: float | None = None
    ) -> None:
        if self._revoking is None:
            raise NotAuthenticated(Denial.UNAVAILABLE)
        try:
            await self._revoking.revoke(subject=subject, token_id=token_id, issued_before=issued_before, by=by)
        except (RevocationsUnavailable, TooManyRevocations) as error:
            raise NotAuthenticated(Denial.UNAVAILABLE) from error
