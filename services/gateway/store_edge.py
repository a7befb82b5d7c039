"""Wraps every driver operation of the store: limits its time, translates errors and tracks MongoDB's health."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import Context
from typing import Any

import pymongo
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError, WaitQueueTimeoutError

from services.common.visible_fields import ALL_FIELDS, VisibleFields
from services.gateway.mongodb_health import MongodbHealth
from services.gateway.snapshot_read import Document, is_snapshot_unavailable
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

_PING_PATIENCE = 1.5  # seconds; the driver looks for its server in steps of 0.5
_SHORT_PATIENCE = 0.5  # while a client waits for the answer


@asynccontextmanager
async def driver_timeout(seconds: float) -> AsyncIterator[None]:
    """Limit the driver's operations; within the limit the driver keeps retrying."""
    with pymongo.timeout(seconds):
        yield


class StoreEdge:
    """The wrapper around every operation."""

    def __init__(
        self,
        database: AsyncDatabase[Document],
        collection: str,
        patience: float,
        visible: VisibleFields = ALL_FIELDS,
    ) -> None:
        self.mongodb_health = MongodbHealth()
        self.kind = CollectionKind(database, collection)
        self._database = database
        self._patience = patience
        self._visible = visible
        self._short_ping: asyncio.Task[PyMongoError | None] | None = None

    @asynccontextmanager
    async def __call__(self, bound: TimeLimit, *, writing: bool) -> AsyncIterator[None]:
        """Run an operation; raise StoreError."""
        try:
            async with bound(self._patience):
                yield
        except (PyMongoError, TimeoutError) as error:
            raise await self._translate(error, writing=writing) from error
        self.mongodb_health.answered()

    async def check(self) -> str:
        """Ask MongoDB whether it answers, and of which kind the collection is; return the state of MongoDB."""
        error = await self._ping()
        if error is None:
            self.mongodb_health.answered()
            await self.kind.check()
        elif isinstance(error, WaitQueueTimeoutError):
            pass  # all connections are in use: whether MongoDB answers, those who use them will tell
        elif is_timeout(error):
            self.mongodb_health.slow(error, _state(error))
        else:
            self.mongodb_health.failed(error, _state(error))
        return self.mongodb_health.state

    async def _translate(self, error: Exception, *, writing: bool) -> StoreError:
        """Return our error, and record an outage where MongoDB fails and not just this one operation."""
        ours = store_error(error, writing=writing, visible=self._visible)
        if isinstance(ours, (StoreFailed, RuleBroken)) or is_snapshot_unavailable(error):
            wrong = await self.kind.check()
            if self.kind.is_unfit:
                return CollectionUnfit(wrong)
        if not isinstance(ours, (StoreUnavailable, OutcomeUnknown)):
            return ours
        if (is_timeout(error) or is_snapshot_unavailable(error)) and await self.answers():
            return (
                ours
                if writing or is_snapshot_unavailable(error)
                else TooSlow("MongoDB answers, but not to this in time")
            )
        self.mongodb_health.failed(error, _state(error))
        return ours

    async def answers(self) -> bool:
        """Tell soon whether MongoDB answers; those who ask meanwhile share one ping, or a crowd would delay it."""
        if self._short_ping is None or self._short_ping.done():
            # In a context of its own: a time limit of the one who asks first is not that of the others.
            self._short_ping = asyncio.create_task(self._ping(_SHORT_PATIENCE), context=Context())
        error = await asyncio.shield(self._short_ping)
        if error is None:
            self.mongodb_health.answered()
        # A ping that got no connection shows nothing: others have them all.
        return error is None or isinstance(error, WaitQueueTimeoutError)

    async def _ping(self, patience: float = _PING_PATIENCE) -> PyMongoError | None:
        """Return why MongoDB does not answer at all, or None where it does."""
        try:
            with pymongo.timeout(patience):
                await self._database.command("ping")
        except PyMongoError as error:
            return error
        return None


def _state(error: Exception) -> str:
    return str(store_error(error, writing=False))
