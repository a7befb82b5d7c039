"""Runs writes in a transaction of MongoDB: all of them or none, and the cluster time that they share."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic
from typing import Any, TypeVar

import pymongo
from pymongo import WriteConcern
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from services.common.cursor import cluster_time
from services.gateway.snapshot_read import Document
from services.gateway.store_edge import StoreEdge, driver_timeout
from services.gateway.store_errors import OrderBusy, OutcomeUnknown, StoreUnavailable

T = TypeVar("T")
Session = AsyncClientSession

_FIRST_PAUSE = 0.004  # seconds before a transaction that met another one is tried again; later pauses are longer
_LONGEST_PAUSE = 0.1
_RELEASE_SECONDS = 0.5
_TRANSIENT = "TransientTransactionError"
_UNKNOWN = "UnknownTransactionCommitResult"


class Transactions:
    """Transactions that are repeated while others hold what they want, for ``busy_seconds`` at most."""

    def __init__(
        self, database: AsyncDatabase[Document], edge: StoreEdge, patience: float, busy_seconds: float
    ) -> None:
        self._client = database.client
        self._edge = edge
        self._patience = patience
        self._busy_seconds = busy_seconds

    async def run(self, work: Callable[[Session], Awaitable[T]]) -> tuple[T, int | None]:
        """Return the result of ``work`` and the cluster time of its commit; raise StoreError.

        ``work`` may be called several times, each time in a new transaction. Its own exceptions abort the transaction
        and are passed on. Only where the commit itself was not answered is the outcome unknown. A caller that is
        cancelled does not wait for its transaction to end.
        """
        running = asyncio.ensure_future(self._run(work))
        running.add_done_callback(_retrieve)
        return await asyncio.shield(running)

    async def _run(self, work: Callable[[Session], Awaitable[T]]) -> tuple[T, int | None]:
        attempt = _Attempt(self._patience, self._busy_seconds)
        # Not causally consistent, because there are no earlier operations: its operation time is that of the commit.
        async with self._client.start_session(causal_consistency=False) as session:
            try:
                async with self._edge(driver_timeout, writing=True):
                    return await self._committed(work, session, attempt)
            except (OutcomeUnknown, OrderBusy) as error:
                if attempt.is_committing:  # where it is busy: out of the time that the driver allows for the commit
                    await self._release(session)
                    raise OutcomeUnknown("MongoDB did not confirm the commit in time") from error
                if isinstance(error, OrderBusy):
                    raise
                await self._release(session)
                raise StoreUnavailable("MongoDB did not answer before the commit") from error

    async def _committed(
        self, work: Callable[[Session], Awaitable[T]], session: Session, attempt: "_Attempt"
    ) -> tuple[T, int | None]:
        while True:
            attempt.is_committing = False
            try:
                await session.start_transaction(write_concern=WriteConcern("majority"))
                result = await work(session)
                attempt.is_committing = True
                await _commit(session, attempt)
            except BaseException as error:
                if session.in_transaction:  # here, because the time limit does not hold when the session ends
                    await session.abort_transaction()
                if not isinstance(error, PyMongoError) or not error.has_error_label(_TRANSIENT):
                    raise
                attempt.is_committing = False  # MongoDB says that this transaction was not, and never will be
                if not await attempt.again():
                    raise
            else:
                ended = session.operation_time
                return result, None if ended is None else cluster_time(ended)

    async def _release(self, session: Session) -> None:
        """End a transaction that may still be open: it would hold its key and its orders until MongoDB gives it up."""
        with suppress(PyMongoError), pymongo.timeout(_RELEASE_SECONDS):
            await self._client.admin.command("killSessions", [session.session_id])


def _retrieve(running: "asyncio.Future[Any]") -> None:
    if not running.cancelled():
        running.exception()  # not a mistake where nobody waits for it


class _Attempt:
    """How far a transaction has come, and how long it may be repeated."""

    def __init__(self, patience: float, busy_seconds: float) -> None:
        now = monotonic()
        self.is_committing = False
        self._number = 0
        self._ends_at = now + patience
        self._again_until = now + busy_seconds

    @property
    def has_time(self) -> bool:
        return monotonic() < self._ends_at

    async def again(self) -> bool:
        """Wait a little, and tell whether there is time for another attempt."""
        self._number += 1
        pause = min(_FIRST_PAUSE * 1.5**self._number, _LONGEST_PAUSE) * random.uniform(0.5, 1.0)
        if monotonic() + pause > self._again_until:
            return False
        await asyncio.sleep(pause)
        return True


async def _commit(session: Any, attempt: _Attempt) -> None:
    """Commit; ask again as long as the answer does not come, which commits no second time."""
    while True:
        try:
            await session.commit_transaction()
        except PyMongoError as error:
            if not error.has_error_label(_UNKNOWN) or error.timeout or not attempt.has_time:
                raise
        else:
            return
