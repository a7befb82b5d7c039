"""Revokes, and keeps what is known of revocations in step with MongoDB: each one ends the connections it concerns."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import datetime, timedelta
from time import monotonic, time
from typing import Any, NoReturn

import structlog
from pymongo.asynchronous.database import AsyncDatabase
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from services.common.dependency_health import DependencyHealth
from services.common.error_text import error_text
from services.common.stream_spec import ORDERS
from services.common.tasks import Tasks, raise_if_cancelled
from services.gateway.edge.bearers import Bearers
from services.gateway.edge.failures import Failures
from services.gateway.edge.incidents import Count
from services.gateway.revocation_store import RevocationStore
from services.gateway.revocations import Revocation, Revocations, RevocationsUnavailable
from services.redis.channel import listen, listening_options
from services.redis.client import redis_client
from services.redis.schema import StreamKeys

# A message over Redis makes a revocation take effect within milliseconds. A lost one must not make it later than a
# second, so MongoDB is asked twice a second what has changed: one look-up in an index, which finds nothing. A change
# stream would let MongoDB read its whole oplog once more for each gateway, and can be blind without an error.
POLL_SECONDS = 0.5
_LEAST_PAUSE = 0.02  # between two readings, however many messages come
# MongoDB's clock orders the changes. One may become visible after a later one, by as much as a write takes, and after a
# failover by as much as the clocks of the members differ.
_DISORDER_SECONDS = 10.0
_SWEEP_SECONDS = 60.0
_SLICE_SECONDS = 0.002  # of ending connections, before others have a turn

log = structlog.get_logger("revocations")


class Revoking:
    """All that changes the ``revocations`` that this gateway knows.

    ``remembered`` is for how many seconds: a token must not live longer.
    """

    def __init__(
        self,
        store: RevocationStore,
        redis: Redis,
        channel: Redis,
        name: str,
        revocations: Revocations,
        bearers: Bearers,
        *,
        remembered: float,
        count: Count,
        tasks: Tasks,
    ) -> None:
        self._store = store
        self._redis = redis
        self._channel = channel
        self._name = name
        self._revocations = revocations
        self._bearers = bearers
        self._remembered = remembered
        self._tasks = tasks
        self._failures = Failures("A connection with a revoked token could not be closed cleanly", count)
        self._health = DependencyHealth("revocations")
        self._redis_health = DependencyHealth("revocations over redis")
        self._read_due = asyncio.Event()
        self._is_all_due = True
        self._latest: datetime | None = None  # change that was read, and when it was read first
        self._latest_at = 0.0
        self._swept_at = monotonic()

    async def revoke(
        self,
        *,
        subject: str | None = None,
        token_id: str | None = None,
        issued_before: float | None = None,
        by: str = "",
    ) -> Revocation:
        """Refuse the subject or the token from now on, at every gateway, and end its connections.

        With ``issued_before`` (seconds since 1970), a subject's later tokens stay good. It is done once MongoDB has it;
        raise RevocationsUnavailable or TooManyRevocations. ``by`` is the subject who wants it, for the record.
        """
        now = time()
        until = max(now, issued_before or 0.0) + self._remembered
        wanted = Revocation("", now, until, subject, token_id, issued_before)
        revocation = await self._store.add(wanted, by)
        log.info("Revoked", id=revocation.id, subject=subject, token_id=token_id, by=by)
        if self._revocations.known:
            await self._end(self._revocations.add([revocation]))
        self._announce()
        return revocation

    async def lift(self, id: str, by: str = "") -> Revocation | None:
        """End a revocation, and return it; None where there is none. Raise RevocationsUnavailable."""
        lifted = await self._store.lift(id)
        if lifted is not None:
            log.info("Lifted a revocation", id=id, subject=lifted.subject, token_id=lifted.token_id, by=by)
            self._revocations.lift(id)
            self._announce()
        return lifted

    async def page(self, limit: int, after: str | None) -> list[Revocation]:
        """Return revocations that apply, newest first; raise RevocationsUnavailable."""
        return await self._store.page(limit, after)

    def check(self) -> str:
        """Return "ok", or why nobody is let in, for `/readyz`."""
        return "ok" if self._revocations.known else str(self._health.error)

    async def follow(self) -> NoReturn:
        """Read what has changed, regularly and on request, until cancelled."""
        while True:
            raise_if_cancelled()
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._read_due.wait()
            self._read_due.clear()
            await self.read()
            await asyncio.sleep(_LEAST_PAUSE)

    async def listen(self) -> NoReturn:
        """Listen to what other gateways announce, until cancelled. A message only makes this one read MongoDB."""
        while True:
            raise_if_cancelled()
            try:
                await listen(self._channel, self._name, self._read_all_soon, lambda _message: self._read_due.set())
            except RedisError as error:
                await asyncio.sleep(self._redis_health.failed(error))

    async def read(self) -> None:
        """Bring what is known in step with MongoDB; where that does not answer, what is known stays."""
        everything, self._is_all_due = self._is_all_due, False
        # Those that `revoke` adds while we read are missing in what we read, and must stay.
        before = self._revocations.ids() if everything else set()
        try:
            reading = await self._store.read(None if everything else self._since())
        except RevocationsUnavailable as error:
            self._is_all_due = True
            self._health.failed(error)
            return
        self._health.succeeded()
        if reading.latest is not None and (self._latest is None or reading.latest > self._latest):
            self._latest, self._latest_at = reading.latest, monotonic()
        known = self._revocations
        if everything:
            new = known.replace(before, reading.revocations)
        else:
            for lifted in reading.lifted:
                known.lift(lifted)
            new = known.add(reading.revocations)
        if monotonic() - self._swept_at > _SWEEP_SECONDS:
            self._swept_at = monotonic()
            known.forget_old(time())
        await self._end(new)

    def _since(self) -> datetime | None:
        if self._latest is None or monotonic() - self._latest_at > _DISORDER_SECONDS:
            return self._latest
        return self._latest - timedelta(seconds=_DISORDER_SECONDS)

    def _read_all_soon(self) -> None:
        self._redis_health.succeeded()
        self._is_all_due = True
        self._read_due.set()

    async def _end(self, new: Iterable[Revocation]) -> None:
        """End the connections of new revocations, a few at a time."""
        ended, began = 0, monotonic()
        for revocation in new:
            for bearer in self._bearers.of(revocation.subject, revocation.token_id):
                of = bearer.principal
                if bearer not in self._bearers or not self._revocations.refuses(
                    of.subject, of.token_id, of.issued_at, of.session
                ):
                    continue
                try:
                    bearer.end()
                except Exception as error:  # noqa: BLE001 - the others must be ended, too
                    self._failures.note(error)
                ended += 1
                if monotonic() - began > _SLICE_SECONDS:
                    await asyncio.sleep(0)
                    began = monotonic()
        if ended:
            log.info("Ended the connections of revoked tokens", connections=ended, known=len(self._revocations))

    def _announce(self) -> None:
        self._tasks.spawn("announcing a revocation", self._publish())

    async def _publish(self) -> None:
        try:
            await self._redis.publish(self._name, b"")
        except (RedisError, OSError) as error:
            log.warning(
                "Cannot announce a revocation through Redis, gateways find it when they next poll MongoDB",
                error=error_text(error),
            )


@asynccontextmanager
async def open_revoking(
    database: AsyncDatabase[dict[str, Any]],
    redis_url: str,
    revocations: Revocations,
    bearers: Bearers,
    *,
    remembered: float,
    count: Count,
    tasks: Tasks,
) -> AsyncIterator[Revoking]:
    """Read all revocations, then keep them in step in ``tasks``."""
    keys = StreamKeys.of(ORDERS.name)
    options: dict[str, Any] = {"socket_connect_timeout": 2, "retry": Retry(NoBackoff(), 0)}
    async with (
        aclosing(redis_client(redis_url, keys.log, socket_timeout=2, **options)) as redis,
        aclosing(redis_client(redis_url, keys.log, **listening_options(redis_url), **options)) as channel,
    ):
        revoking = Revoking(
            RevocationStore(database),
            redis,
            channel,
            keys.revocations,
            revocations,
            bearers,
            remembered=remembered,
            count=count,
            tasks=tasks,
        )
        await revoking.read()  # before there are clients; where MongoDB does not answer, nobody is let in
        tasks.keep("following revocations", revoking.follow())
        tasks.keep("listening for revocations", revoking.listen())
        yield revoking
