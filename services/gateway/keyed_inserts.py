"""Stores new orders with an idempotency key; those that arrive during one transaction share the next."""

from collections.abc import Sequence
from typing import NamedTuple

from pymongo.asynchronous.collection import AsyncCollection

from services.gateway.idempotency import Claim
from services.gateway.insert_groups import InsertGroups, StoredAt
from services.gateway.kept_answers import Answer, KeptAnswers, KeyTaken
from services.gateway.snapshot_read import Document
from services.gateway.store_errors import OrderBusy
from services.gateway.transactions import Session, Transactions

_LEAST = 2


class _Keyed(NamedTuple):
    document: Document
    claim: Claim
    answer: Answer


class KeyedInserts:
    """Three commands for a group cost little more than three for one order."""

    def __init__(self, orders: AsyncCollection[Document], transactions: Transactions, kept: KeptAnswers) -> None:
        self._orders = orders
        self._transactions = transactions
        self._kept = kept
        self._groups = InsertGroups(self._together, self._alone, least=_LEAST)

    async def insert(self, document: Document, claim: Claim, answer: Answer) -> StoredAt:
        """Store the order and the answer that its key keeps; raise KeyTaken or StoreError."""
        return await self._groups.insert(_Keyed(document, claim, answer))

    async def _alone(self, new: _Keyed) -> int | None:
        return await self._together([new])

    async def _together(self, new: Sequence[_Keyed]) -> int | None:
        answers = [(each.claim, each.answer._replace(last=ordinal)) for ordinal, each in enumerate(new)]

        async def work(session: Session) -> None:
            if len(new) == 1:
                await self._orders.insert_one(new[0].document, session=session)
            else:
                await self._orders.insert_many([each.document for each in new], session=session)
            await self._kept.insert(answers, session)

        try:
            _, at = await self._transactions.run(work)
        except OrderBusy as error:  # nobody else holds a new order: it is the key
            raise KeyTaken from error
        return at
