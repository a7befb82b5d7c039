"""Wraps every driver operation of the store: limits its time, translates errors and tracks MongoDB's reachability."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pymongo
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from services.gateway.reachability import Reachability
from services.gateway.snapshot import Document, is_snapshot_unavailable
from services.gateway.store_errors import (
    CollectionUnfit,
    OutcomeUnknown,
    RuleBroken,
    StoreError,
    StoreFailed,
    StoreUnavailable,
    TooSlow,
)
from services.gateway.store_faults import is_timeout, store_error
from services.mongodb.collection_kind import CollectionKind

TimeLimit = Callable[[float], AbstractAsyncContextManager[Any]]
"""A context manager that limits its body to so many seconds."""

_CHECK_PATIENCE = 0.45  # seconds; the driver looks for its server in steps of 0.5, and /readyz grants 1


@asynccontextmanager
async def driver_timeout(seconds: float) -> AsyncIterator[None]:
    """Limit the driver's operations; within the limit the driver keeps retrying."""
    with pymongo.timeout(seconds):
        yield


class StoreEdge:
    """The wrapper around every operation."""

    def __init__(self, database: AsyncDatabase[Document], collection: str, patience: float) -> None:
        self.reachability = Reachability()
        self.kind = CollectionKind(database, collection)
        self._database = database
        self._patience = patience

    @asynccontextmanager
    async def __call__(self, bound: TimeLimit, *, writing: bool) -> AsyncIterator[None]:
        """Run an operation; raise StoreError."""
        try:
            async with bound(self._patience):
                yield
        except (PyMongoError, TimeoutError) as error:
            raise await self._translate(error, writing=writing) from error
        self.reachability.answered()

    async def check(self) -> str:
        """Return "ok" when the primary answers, else what is wrong."""
        error = await self._ping()
        if error is None:
            self.reachability.answered()
            return "ok"
        self.reachability.failed(error)
        return str(store_error(error, writing=False))

    async def _translate(self, error: Exception, *, writing: bool) -> StoreError:
        """Return our error, and record an outage where MongoDB fails and not just this one operation."""
        ours = store_error(error, writing=writing)
        if isinstance(ours, (StoreFailed, RuleBroken)) or is_snapshot_unavailable(error):
            wrong = await self.kind.check()
            if self.kind.is_unfit:
                return CollectionUnfit(wrong)
        if not isinstance(ours, (StoreUnavailable, OutcomeUnknown)):
            return ours
        if (is_timeout(error) or is_snapshot_unavailable(error)) and await self._ping() is None:
            return (
                ours if writing or is_snapshot_unavailable(error) else TooSlow("MongoDB answers, but not this in time")
            )
        self.reachability.failed(error)
        return ours

    async def _ping(self) -> PyMongoError | None:
        """Return why MongoDB does not answer at all, or None where it does."""
        try:
            with pymongo.timeout(_CHECK_PATIENCE):
                await self._database.command("ping")
        except PyMongoError as error:
            return error
        return None
