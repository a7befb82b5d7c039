"""Writes that need more than one command: with a condition, with an answer to keep, or several as one."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import WriteError

from services.common.documents import Json
from services.common.fair_turns import Pace
from services.common.filter_fields import deciding_fields
from services.common.ids import parse_id
from services.common.order_json import order_json
from services.common.visible_fields import ALL_FIELDS, VisibleFields
from services.gateway.audience import Rights, permits
from services.gateway.batches import DeleteOrder, InsertOrder, OrderWrite, UpdateOrder
from services.gateway.conditions import ids_condition, permitted
from services.gateway.decoded_order import THREAD_BYTES, DecodedOrder, read_all, what_decides
from services.gateway.filters import EVERYTHING
from services.gateway.idempotency import Claim
from services.gateway.kept_answers import Answer, KeptAnswers
from services.gateway.keyed_inserts import KeyedInserts
from services.gateway.order_document import changed_fields, new_document, now
from services.gateway.snapshot_read import RAW, Document
from services.gateway.store_errors import (
    AnswerTooLarge,
    BatchRefused,
    OrderNotFound,
    OrderRefused,
    OutsideRights,
    StoreError,
)
from services.gateway.store_faults import store_error
from services.gateway.transactions import Session, Transactions

Order = dict[str, Json]


class Applied(NamedTuple):
    """Orders after their writes (after a deletion: as they were last), in the order in which they were asked for.

    ``last`` is the ordinal of the last change among those of the cluster time; None where nothing changed.
    """

    orders: list[Order]
    last: int | None


Answering = Callable[[Applied], Answer]
Requiring = Callable[[Order], None]
"""Check an order before it is written; raise an exception to write nothing."""


class _Stored(NamedTuple):
    """A document as it is stored, and what of it decides filters."""

    raw: bytes
    brief: DecodedOrder


class _Done(NamedTuple):
    """What writes have done: documents before and after by id, new ones by place, and `Applied.last`."""

    before: Mapping[str, _Stored]
    after: Mapping[str, _Stored]
    new: Mapping[int, Document]
    last: int | None


class AtomicWrites:
    """Does writes all or not at all; each method raises StoreError, and what its callables raise.

    Orders are read and written in one transaction. If another writer changes one in between, MongoDB refuses the
    transaction and it is done again: so what was checked is what is written, and no change of another one is lost.
    """

    def __init__(
        self,
        orders: AsyncCollection[Document],
        transactions: Transactions,
        kept: KeptAnswers,
        visible: VisibleFields = ALL_FIELDS,
    ) -> None:
        self._orders = orders
        self._raw_orders = orders.with_options(codec_options=RAW)
        self._transactions = transactions
        self._kept = kept
        self._visible = visible
        self._inserts = KeyedInserts(orders, transactions, kept)

    async def write(
        self,
        writes: Sequence[OrderWrite],
        rights: Rights,
        answering: Answering,
        *,
        pace: Pace,
        claim: Claim | None = None,
        requiring: Requiring | None = None,
    ) -> Answer:
        """Do the writes and return the answer; with a ``claim``, keep it. Raise KeyTaken, BatchRefused.

        Orders are read at this ``pace``.
        """
        if claim is not None and len(writes) == 1 and isinstance(writes[0], InsertOrder):
            document = _permitted_document(writes[0], rights)
            answer = answering(Applied([order_json(document, self._visible)], 0))
            at, last = await self._inserts.insert(document, claim, answer)
            return answer._replace(at=at, last=last)

        async def work(session: Session) -> tuple[_Done, Answer | None]:
            done = await self._apply(writes, rights, requiring, session, pace)
            if claim is None:  # then it is made after the commit: nobody else waits for these orders meanwhile
                return done, None
            answer = await self._answer(writes, done, answering, pace)
            await self._kept.insert([(claim, answer)], session)
            return done, answer

        (done, kept), at = await self._transactions.run(work)
        answer = await self._answer(writes, done, answering, pace) if kept is None else kept
        return answer._replace(at=at, last=answer.last or 0)

    async def _answer(self, writes: Sequence[OrderWrite], done: _Done, answering: Answering, pace: Pace) -> Answer:
        """Have the answer made from all orders, as clients are shown them."""
        shown = {
            number: (done.after if isinstance(each, UpdateOrder) else done.before)[each.id].raw
            for number, each in enumerate(writes)
            if not isinstance(each, InsertOrder)
        }
        orders = {number: order_json(each, self._visible) for number, each in done.new.items()}
        decoded = await read_all([*shown.values()], pace, self._visible)
        orders |= {number: each.order for number, each in zip(shown, decoded, strict=True)}
        applied = Applied([orders[number] for number in range(len(writes))], done.last)
        if sum(map(len, shown.values())) > THREAD_BYTES:
            return await asyncio.to_thread(answering, applied)
        return answering(applied)

    async def _apply(
        self,
        writes: Sequence[OrderWrite],
        rights: Rights,
        requiring: Requiring | None,
        session: Session,
        pace: Pace,
    ) -> _Done:
        old = [each.id for each in writes if not isinstance(each, InsertOrder)]
        before = await self._find(old, rights, session, pace)
        new = _checked(writes, before, rights)
        if requiring is not None:
            for found in await read_all([each.raw for each in before.values()], pace, self._visible):
                await asyncio.to_thread(requiring, found.order) if found.is_large else requiring(found.order)
        # Deletions first: what they free of a unique index, a new order may take.
        deleted = {n: each for n, each in enumerate(writes) if isinstance(each, DeleteOrder)}
        updated = {n: each for n, each in enumerate(writes) if isinstance(each, UpdateOrder)}
        deletes = [{"q": _by_id(each.id), "limit": 1} for each in deleted.values()]
        updates = [{"q": _by_id(each.id), "u": {"$set": changed_fields(each.order)}} for each in updated.values()]
        await self._command("delete", "deletes", deletes, [*deleted], session)
        await self._command("update", "updates", updates, [*updated], session)
        changed_ids = [each.id for each in updated.values()]
        after = await self._find(changed_ids, None, session, pace)
        await self._command("insert", "documents", [*new.values()], [*new], session)
        changed = sum(after[each.id].raw != before[each.id].raw for each in updated.values())
        events = len(deleted) + changed + len(new)
        return _Done(before, after, new, events - 1 if events else None)

    async def _find(
        self, ids: Sequence[str], rights: Rights | None, session: Session, pace: Pace
    ) -> dict[str, _Stored]:
        """Return the orders that exist, by id; raise AnswerTooLarge where one reply cannot hold them."""
        if not ids:
            return {}
        condition = ids_condition(ids)
        reply = await self._raw_orders.database.command(
            {
                "find": self._orders.name,
                "filter": condition if rights is None else permitted(condition, rights),
                "limit": len(ids) + 1,
                "batchSize": len(ids) + 1,
            },
            codec_options=RAW,
            session=session,
        )
        cursor = reply["cursor"]
        if cursor["id"] != 0:
            raise AnswerTooLarge
        found = {}
        await pace.begin()
        for document in cursor["firstBatch"]:
            raw = bytes(document.raw)
            brief = what_decides(raw)
            found[brief.id] = _Stored(raw, brief)
            await pace.step()
        return found

    async def _command(
        self, name: str, field: str, statements: Sequence[Mapping[str, Any]], places: Sequence[int], session: Session
    ) -> None:
        """Run a write command; raise BatchRefused for the statement that MongoDB refuses."""
        if not statements:
            return
        reply = await self._orders.database.command({name: self._orders.name, field: statements}, session=session)
        for refused in reply.get("writeErrors", ())[:1]:
            error = WriteError(refused.get("errmsg", ""), refused.get("code"), refused)
            ours = store_error(error, writing=True, visible=self._visible)
            if isinstance(ours, OrderRefused):
                raise BatchRefused([(places[refused["index"]], ours)]) from error
            raise error


def _permitted_document(write: InsertOrder, rights: Rights, at: datetime | None = None) -> Document:
    document = new_document(write.order, at)
    if rights != EVERYTHING and not permits(rights, str(document["_id"]), deciding_fields(document) or {}):
        raise OutsideRights("the new order")
    return document


def _checked(writes: Sequence[OrderWrite], before: Mapping[str, _Stored], rights: Rights) -> dict[int, Document]:
    """Return the new documents, by place; raise BatchRefused with all writes that are not allowed."""
    new: dict[int, Document] = {}
    refused: list[tuple[int, StoreError]] = []
    at = now()
    for number, write in enumerate(writes):
        if isinstance(write, InsertOrder):
            try:
                new[number] = _permitted_document(write, rights, at)
            except OutsideRights as error:
                refused.append((number, error))
        elif (found := before.get(write.id)) is None or not permits(rights, write.id, found.brief.fields):
            refused.append((number, OrderNotFound(write.id)))
        elif isinstance(write, UpdateOrder):
            changed = {**found.brief.fields, **write.order.fields()}
            if not permits(rights, write.id, changed):
                refused.append((number, OutsideRights(write.id)))
    if refused:
        raise BatchRefused(refused)
    return new


def _by_id(id: str) -> Document:
    # Exact already: this very order was read in the same transaction, and no other has an id that is equal to it.
    return {"_id": {"$eq": parse_id(id)}}
