"""Stores new orders without conditions and kept answers: many of one moment in a transaction, a few one by one."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pymongo.asynchronous.collection import AsyncCollection

from services.gateway.batch_loader import BatchLoader
from services.gateway.snapshot_read import Document
from services.gateway.store_errors import OutcomeUnknown, StoreError, StoreUnavailable
from services.gateway.transactions import Session, Transactions

LEAST = 3  # orders for which the two commands of a transaction cost less than one command each
_MOST = 100
_GATHER_SECONDS = 0.005  # what MongoDB takes where it is fast; where it is slow, nobody waits for the write of another
_OF_ALL = (OutcomeUnknown, StoreUnavailable)


class StoredAt(NamedTuple):
    """Where a change is in the stream: its cluster time, where that is known, and its ordinal among those of it."""

    at: int | None
    ordinal: int


InsertOne = Callable[[Document], Awaitable[int | None]]
"""Stores one document with one command, and returns its cluster time; raises StoreError."""


@dataclass(frozen=True, slots=True, eq=False)  # no two are the same
class _New:
    document: Document


class PlainInserts:
    """The orders that come while a group is written go together next; one that comes alone is written at once.

    Fair turns let few requests begin in each pass of the event loop, so the orders of a single pass would be few.
    """

    def __init__(
        self,
        orders: AsyncCollection[Document],
        transactions: Transactions,
        insert_one: InsertOne,
        patience: float = _GATHER_SECONDS,
    ) -> None:
        self._orders = orders
        self._transactions = transactions
        self._insert_one = insert_one
        self._patience = patience
        self._loader = BatchLoader(self._store, _MOST, self._gathered)
        self._in_flight: asyncio.Future[None] | None = None  # the newest group

    async def insert(self, document: Document) -> StoredAt:
        """Store it; raise StoreError."""
        outcome = await self._loader.get(_New(document))
        if isinstance(outcome, StoredAt):
            return outcome
        raise outcome or RuntimeError("a new order was neither stored nor refused")

    async def _gathered(self) -> None:
        if self._in_flight is not None:
            await asyncio.wait([self._in_flight], timeout=self._patience)

    async def _store(self, new: Sequence[_New]) -> Mapping[_New, StoredAt | StoreError]:
        written = self._in_flight = asyncio.get_running_loop().create_future()
        try:
            return await self._written(new)
        finally:
            written.set_result(None)

    async def _written(self, new: Sequence[_New]) -> Mapping[_New, StoredAt | StoreError]:
        if len(new) >= LEAST:
            try:
                at = await self._together([each.document for each in new])
            except _OF_ALL:
                raise
            except StoreError:
                pass  # nothing was written, because of one of them: each alone, then
            else:
                return {each: StoredAt(at, ordinal) for ordinal, each in enumerate(new)}
        outcomes = await asyncio.gather(*(self._alone(each.document) for each in new))
        return dict(zip(new, outcomes, strict=True))

    async def _together(self, documents: Sequence[Document]) -> int | None:
        async def work(session: Session) -> None:
            await self._orders.insert_many(documents, session=session)

        _, at = await self._transactions.run(work)
        return at

    async def _alone(self, document: Document) -> StoredAt | StoreError:
        try:
            return StoredAt(await self._insert_one(document), 0)
        except StoreError as error:
            return error
