"""Builds what identifies clients, as the settings say: tokens, tickets, sessions, revocations."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

from aiohttp import web
from pymongo.asynchronous.database import AsyncDatabase

from services.common.auth import Auth
from services.common.error_text import error_text
from services.common.settings import WrongSetting
from services.common.stream_spec import ORDERS
from services.common.tasks import Tasks
from services.gateway.access_settings import WithoutRights, secrets_in
from services.gateway.edge.authenticator import Authenticator
from services.gateway.edge.bearers import Bearers
from services.gateway.edge.entrance import Entrance
from services.gateway.edge.incidents import Count
from services.gateway.edge.key_source import FixedKeys, KeySource, PublishedKeys
from services.gateway.edge.principal import Denial, NotAuthenticated, Principal
from services.gateway.edge.tokens import TokenRules, UnusableKey, keys_of_pem, keys_of_secrets
from services.gateway.revocations import Revocations
from services.gateway.revoking import Revoking, open_revoking
from services.gateway.settings import GatewaySettings
from services.gateway.sign_in.routes import SignInRoutes
from services.gateway.sign_in.seal import Seal
from services.gateway.sign_in.who import WhoRoutes
from services.gateway.sign_in_access import sign_in_of
from services.gateway.tickets import open_tickets
from services.redis.schema import StreamKeys


class Access(NamedTuple):
    """How clients are identified, where they are: by tokens, by tickets that ``issue`` returns, and by sessions.

    ``revoking`` takes rights back; without it nobody is let in.
    """

    authenticator: Authenticator
    issue: Callable[[Principal], Awaitable[str | None]]
    revocations: Revocations
    revoking: Revoking | None
    sign_in_routes: Callable[[Entrance], list[web.RouteDef]]
    seals: Sequence[Seal]  # they need the secret that all replicas share


@asynccontextmanager
async def open_access(
    settings: GatewaySettings, count: Count, tasks: Tasks, database: AsyncDatabase[dict[str, Any]] | None = None
) -> AsyncIterator[Access | None]:
    """Prepare it, or nothing where everyone may do everything; raise WrongSetting.

    The ``database`` has the revocations. Without one, nobody is let in.
    """
    if settings.auth is Auth.NONE:
        yield None
        return
    async with AsyncExitStack() as stack:
        tickets = await stack.enter_async_context(open_tickets(settings.redis_url, StreamKeys.of(ORDERS.name)))
        rules = TokenRules(
            issuer=settings.jwt_issuer or None,
            audience=settings.jwt_audience or None,
            leeway=settings.jwt_leeway_seconds,
            rights_claim=settings.jwt_rights_claim,
            all_rows_by_default=settings.jwt_without_rights is WithoutRights.ALL,
            longest_life=settings.revocation_seconds,
        )
        revocations, bearers = Revocations(), Bearers()
        revoking = None
        if database is not None:
            revoking = await stack.enter_async_context(
                open_revoking(
                    database,
                    settings.redis_url,
                    revocations,
                    bearers,
                    # A token may be valid for the leeway before the time of its issue, and after that of its end.
                    remembered=settings.revocation_seconds + 2 * settings.jwt_leeway_seconds,
                    count=count,
                    tasks=tasks,
                )
            )
        secret = secrets_in(settings.recovery_secret)
        sessions, states = Seal("session", secret), Seal("sign-in", secret)
        sign_in = sign_in_of(settings, sessions, states, revoking) if settings.oidc_issuer else None
        open_session = _no_session if sign_in is None else sign_in.sessions.principal
        keys = _keys(settings, tasks)
        authenticator = Authenticator(rules, keys, tickets.redeem, open_session, count, revocations, bearers)

        def routes(entrance: Entrance) -> list[web.RouteDef]:
            who = WhoRoutes(authenticator, entrance, None if sign_in is None else sign_in.sessions).routes()
            return who if sign_in is None else [*who, *SignInRoutes(sign_in, authenticator, entrance, count).routes()]

        yield Access(authenticator, tickets.issue, revocations, revoking, routes, [sessions, states])


def _no_session(_: str) -> Principal:
    raise NotAuthenticated(Denial.TOKEN_INVALID)


def _keys(settings: GatewaySettings, tasks: Tasks) -> KeySource:
    if settings.jwt_jwks:
        published = PublishedKeys(settings.jwt_jwks)
        tasks.keep("following the keys of tokens", published.follow())
        return published
    if settings.jwt_public_key:
        try:
            return FixedKeys(keys_of_pem(settings.jwt_public_key.replace("\\n", "\n")))  # `.env` has one line for it
        except UnusableKey as error:
            raise WrongSetting(f"JWT_PUBLIC_KEY: {error_text(error)}") from error
    # With sign-in alone nobody knows a key, so no token is valid.
    return FixedKeys(keys_of_secrets(secrets_in(settings.jwt_secret) or [secrets.token_hex(32)]))
