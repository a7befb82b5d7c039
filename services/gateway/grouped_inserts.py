"""Stores new orders together with their kept answers; those that come meanwhile share the next transaction."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from pymongo.asynchronous.collection import AsyncCollection

from services.gateway.idempotency import Claim
from services.gateway.kept_answers import Answer, KeptAnswers, KeyTaken
from services.gateway.snapshot_read import Document
from services.gateway.store_errors import OrderBusy, OutcomeUnknown, StoreError, StoreUnavailable
from services.gateway.transactions import Session, Transactions

_MAX_GROUP = 100
_OF_ALL = (OutcomeUnknown, StoreUnavailable)


class _Member(NamedTuple):
    document: Document
    claim: Claim
    answer: Answer


class _Place(NamedTuple):
    at: int | None
    last: int


class GroupedInserts:
    """Three commands for a group cost little more than three for one order.

    A group waits for the one before it and for nothing else, so that a single request is not delayed.
    """

    def __init__(self, orders: AsyncCollection[Document], transactions: Transactions, kept: KeptAnswers) -> None:
        self._orders = orders
        self._transactions = transactions
        self._kept = kept
        self._members: list[_Member] = []  # of the next group
        self._next: asyncio.Task[list[_Place | Exception]] | None = None
        self._turn = asyncio.Lock()

    async def insert(self, document: Document, claim: Claim, answer: Answer) -> tuple[int | None, int]:
        """Store both; return the cluster time and the ordinal of the change. Raise KeyTaken or StoreError."""
        if self._next is None or len(self._members) >= _MAX_GROUP:
            self._members = []
            self._next = asyncio.create_task(self._store_group(self._members))
        place = len(self._members)
        self._members.append(_Member(document, claim, answer._replace(last=place)))
        outcomes = await asyncio.shield(self._next)  # a cancelled caller must not cancel the others' transaction
        outcome = outcomes[place]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _store_group(self, members: Sequence[_Member]) -> list[_Place | Exception]:
        async with self._turn:
            if self._members is members:
                self._next = None  # it is complete
            try:
                at = await self._store(members)
            except (StoreError, KeyTaken) as error:
                if len(members) == 1 or isinstance(error, _OF_ALL):
                    return [error] * len(members)
            else:
                return [_Place(at, number) for number in range(len(members))]
        # One of them spoils it for all: each alone, then.
        return await asyncio.gather(*(self._store_alone(member) for member in members))

    async def _store_alone(self, member: _Member) -> _Place | Exception:
        try:
            return _Place(await self._store([member._replace(answer=member.answer._replace(last=0))]), 0)
        except (StoreError, KeyTaken) as error:
            return error

    async def _store(self, members: Sequence[_Member]) -> int | None:
        async def work(session: Session) -> None:
            if len(members) == 1:
                await self._orders.insert_one(members[0].document, session=session)
            else:
                await self._orders.insert_many([member.document for member in members], session=session)
            await self._kept.insert([(member.claim, member.answer) for member in members], session)

        try:
            _, at = await self._transactions.run(work)
        except OrderBusy as error:  # nobody else holds a new order: it is the key
            raise KeyTaken from error
        return at
