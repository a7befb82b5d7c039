"""Tickets: codes for a single use, for clients that cannot send a token with their request.

A browser's EventSource and websocket can only be given an address, and a token must not be in one: addresses are
logged. So the page exchanges its token for a code that is good for one connection within seconds, at any replica.
"""

import hashlib
import re
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from time import monotonic

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from services.gateway.edge.principal import Denial, NotAuthenticated, Principal, Scope
from services.gateway.filters import from_text, to_text
from services.redis.client import redis_client
from services.redis.schema import StreamKeys

SECONDS = 30
MOST_PER_SUBJECT = 100  # in so many seconds: they take memory in Redis
_BYTES = 32
_FORM = re.compile(r"[0-9A-Za-z_-]{43}", re.ASCII)


class _Entry(msgspec.Struct):
    """A principal as Redis keeps it."""

    subject: str
    scopes: list[Scope]
    rights: str
    expires_at: float | None
    token_id: str | None = None
    issued_at: float | None = None
    session: str | None = None


_ENTRY = msgspec.json.Decoder(_Entry)


class Tickets:
    """The tickets in Redis, under a hash, so that to read Redis is not enough to use one."""

    def __init__(self, redis: Redis, keys: StreamKeys) -> None:
        self._redis = redis
        self._keys = keys
        self._issued: Counter[str] = Counter()
        self._counted_since = monotonic()

    async def issue(self, principal: Principal) -> str | None:
        """Return a new ticket, or None where the subject has been given too many of late.

        Raise NotAuthenticated where Redis cannot keep it.
        """
        if not self._may_have_another(principal.subject):
            return None
        ticket = secrets.token_urlsafe(_BYTES)
        subject, scopes, rights, expires_at, token_id, issued_at, session = principal
        kept = _Entry(subject, sorted(scopes), to_text(rights), expires_at, token_id, issued_at, session)
        entry = msgspec.json.encode(kept)
        try:
            await self._redis.set(self._key(ticket), entry, ex=SECONDS, nx=True)
        except (RedisError, OSError) as error:
            raise NotAuthenticated(Denial.UNAVAILABLE) from error
        return ticket

    def _may_have_another(self, subject: str) -> bool:
        now = monotonic()
        if now - self._counted_since > SECONDS:
            self._issued.clear()
            self._counted_since = now
        self._issued[subject] += 1
        return self._issued[subject] <= MOST_PER_SUBJECT

    async def redeem(self, ticket: str) -> Principal | None:
        """Return the principal of a ticket and make it invalid; None where there is no such ticket.

        Raise NotAuthenticated where Redis does not answer.
        """
        if _FORM.fullmatch(ticket) is None:
            return None
        try:
            found = await self._redis.getdel(self._key(ticket))
        except (RedisError, OSError) as error:
            raise NotAuthenticated(Denial.UNAVAILABLE) from error
        if found is None:
            return None
        entry = _ENTRY.decode(found)
        rights = from_text(entry.rights)
        life = (entry.expires_at, entry.token_id, entry.issued_at, entry.session)
        return Principal(entry.subject, frozenset(entry.scopes), rights, *life)

    def _key(self, ticket: str) -> str:
        return self._keys.ticket(hashlib.sha256(ticket.encode()).hexdigest())


@asynccontextmanager
async def open_tickets(url: str, keys: StreamKeys) -> AsyncIterator[Tickets]:
    """Prepare the connection to Redis; nothing is sent yet."""
    # No retry: a GETDEL whose answer was lost has used the ticket up, and the client simply takes another.
    options = {"socket_timeout": 2, "socket_connect_timeout": 2, "retry": Retry(NoBackoff(), 0)}
    async with aclosing(redis_client(url, keys.log, **options)) as redis:
        yield Tickets(redis, keys)
