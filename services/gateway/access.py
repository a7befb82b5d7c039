"""Puts the doors together, as the settings say."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from services.common.auth import Auth
from services.common.error_text import error_text
from services.common.settings import WrongSetting
from services.common.stream_spec import ORDERS
from services.common.tasks import Tasks
from services.gateway.edge.doors import Doors
from services.gateway.edge.key_source import FixedKeys, KeySource, PublishedKeys
from services.gateway.edge.limits import Count
from services.gateway.edge.principal import Principal
from services.gateway.edge.tokens import TokenRules, UnusableKey, keys_of_pem, keys_of_secrets
from services.gateway.settings import GatewaySettings, WithoutRights, secrets_in
from services.gateway.tickets import open_tickets
from services.redis.schema import StreamKeys


class Access(NamedTuple):
    """How clients are identified, where they are: by tokens, and by tickets that ``issue`` returns."""

    doors: Doors
    issue: Callable[[Principal], Awaitable[str | None]]


@asynccontextmanager
async def open_access(settings: GatewaySettings, count: Count, tasks: Tasks) -> AsyncIterator[Access | None]:
    """Prepare it, or nothing where everyone may do everything; raise WrongSetting."""
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
        )
        yield Access(Doors(rules, _keys(settings, tasks), tickets.redeem, count), tickets.issue)


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
    return FixedKeys(keys_of_secrets(secrets_in(settings.jwt_secret)))
