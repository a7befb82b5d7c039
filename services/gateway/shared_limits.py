"""Shares what clients use among all gateways through Redis, in the background: no request waits for it.

Redis has a key for each account that has used much of late: the microsecond, by its own clock, at which all of the
quota will be available again. The key expires then, so whoever uses something only adds to it, or finds it missing and
begins with now. Plain commands do that; a script would need the right to run any script.
"""

import asyncio
import hashlib
import math
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from services.common.error_text import error_text
from services.common.tasks import raise_if_cancelled
from services.gateway.edge.fair_share import Account, Debit, FairShare
from services.redis.client import redis_client
from services.redis.schema import StreamKeys

# After each exchange: many requests of a busy client cost Redis one entry, and however many clients there are, no more
# than 4,000 accounts a second are told.
GATHER_SECONDS = 0.05
PAUSE_SECONDS = 1.0  # between two attempts while Redis does not answer
BATCH = 200  # accounts at once: Redis publishes nothing while it reads their commands, for half a millisecond
_MICROSECONDS = 1_000_000
_SPARE_MILLISECONDS = 1000  # for a gateway that begins a key and dies before it says when it ends

log = structlog.get_logger("redis")


class SharedLimits:
    """Tells the other gateways what clients have used here, and learns what they have used there."""

    def __init__(self, redis: Redis, keys: StreamKeys, share: FairShare) -> None:
        self._redis = redis
        self._keys = keys
        self._share = share
        self._is_due = asyncio.Event()
        self._is_alone = False
        share.on_due = self._is_due.set

    async def keep_shared(self) -> None:
        """Exchange, until cancelled. While Redis does not answer, each gateway limits its clients by itself."""
        while True:
            raise_if_cancelled()
            await self._is_due.wait()
            self._is_due.clear()
            debits = self._share.take_due(BATCH)
            if len(debits) == BATCH:
                self._is_due.set()  # there are more
            if debits and not await self._exchange(debits):
                self._share.restore(debits)
                self._is_due.set()
                await asyncio.sleep(PAUSE_SECONDS)
            await asyncio.sleep(GATHER_SECONDS)

    async def _exchange(self, debits: list[Debit]) -> bool:
        try:
            debts = await self._add(debits)
        except (RedisError, OSError) as error:
            if not self._is_alone:
                self._is_alone = True
                log.warning(
                    "Cannot share usage counters through Redis, limiting clients on this gateway alone",
                    error=error_text(error),
                )
            return False
        if self._is_alone:
            self._is_alone = False
            log.info("Usage counters are shared with the other gateways again")
        self._share.learn(debits, debts)
        return True

    async def _add(self, debits: list[Debit]) -> list[float]:
        """Add what was used here; return the seconds that all gateways together have counted."""
        seconds, microseconds = await self._redis.time()
        now = seconds * _MICROSECONDS + microseconds
        keys = [self._key(account) for account, _ in debits]
        async with self._redis.pipeline(transaction=False) as pipe:
            for key, (_, used) in zip(keys, debits, strict=True):
                pipe.set(key, now, nx=True, px=_SPARE_MILLISECONDS + max(0, math.ceil(used * 1000)))
                pipe.incrby(key, round(used * _MICROSECONDS))
            whole_at: list[int] = (await pipe.execute())[1::2]
            for key, at in zip(keys, whole_at, strict=True):
                pipe.pexpireat(key, math.ceil(at / 1000))  # in the past it deletes the key
            await pipe.execute()
        return [max(0, at - now) / _MICROSECONDS for at in whole_at]

    def _key(self, account: Account) -> str:
        use, name = account
        # Names are of any length, and nobody who reads Redis needs to know them.
        return self._keys.limit(f"{use}:{hashlib.sha256(name.encode()).hexdigest()[:32]}")


@asynccontextmanager
async def open_shared_limits(url: str, keys: StreamKeys, share: FairShare) -> AsyncIterator[SharedLimits]:
    """Prepare the connection to Redis; nothing is sent yet."""
    # No retry by the client: what had been counted already would be counted once more with each.
    options = {"socket_timeout": 2, "socket_connect_timeout": 2, "retry": Retry(NoBackoff(), 0)}
    async with aclosing(redis_client(url, keys.log, **options)) as redis:
        yield SharedLimits(redis, keys, share)
