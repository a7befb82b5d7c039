"""Stores new orders without a key or a condition: several at once in one transaction, one or two by a command each."""

from collections.abc import Awaitable, Callable, Sequence

from pymongo.asynchronous.collection import AsyncCollection

from services.gateway.insert_groups import InsertGroups, StoredAt
from services.gateway.snapshot_read import Document
from services.gateway.transactions import Session, Transactions

LEAST = 3  # orders for which the two commands of a transaction cost less than one command each
_GATHER_SECONDS = 0.005  # as long as a fast write; behind a slow write, the next group does not wait longer


InsertOne = Callable[[Document], Awaitable[int | None]]
"""Stores one document with one command, and returns its cluster time; raises StoreError."""


class PlainInserts:
    """Gathers orders while a group is written; in one pass of the event loop too few requests begin to form a group."""

    def __init__(
        self,
        orders: AsyncCollection[Document],
        transactions: Transactions,
        insert_one: InsertOne,
        patience: float = _GATHER_SECONDS,
    ) -> None:
        self._orders = orders
        self._transactions = transactions
        self._groups = InsertGroups(self._together, insert_one, least=LEAST, patience=patience)

    async def insert(self, document: Document) -> StoredAt:
        """Store it; raise StoreError."""
        return await self._groups.insert(document)

    async def _together(self, documents: Sequence[Document]) -> int | None:
        async def work(session: Session) -> None:
            await self._orders.insert_many(documents, session=session)

        _, at = await self._transactions.run(work)
        return at
