"""The first answers to requests with a key, kept in MongoDB for a day so that a repeated request gets the same one."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

from bson import Binary, Timestamp
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError, PyMongoError
from pymongo.read_concern import ReadConcern

from services.common.cursor import cluster_time
from services.common.kept_answers_spec import COLLECTION, CREATED_AT
from services.gateway.idempotency import Claim
from services.gateway.snapshot_read import Document
from services.gateway.store_edge import StoreEdge, driver_timeout
from services.gateway.store_errors import AnswerTooLarge
from services.gateway.transactions import Session

LARGEST_KEPT = 8 * 1024 * 1024  # bytes of an answer's body; a document of MongoDB has 16 MiB
_AWAIT_MS = 200
_MAX_WAITS = 5


class KeyTaken(Exception):
    """Another request with this key was first, or is about to be."""


class KeyReused(Exception):
    """The key belongs to another request."""


class Answer(NamedTuple):
    """An answer to a write.

    ``epoch`` is that of the stream when it was given, ``last`` the ordinal of the write's last change among those of
    its cluster time ``at``: together its cursor, where it has one.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    epoch: str | None = None
    last: int | None = None
    at: int | None = None


class KeptAnswer(NamedTuple):
    """An answer that was kept, and whether the one who asks again may see as much as the first time."""

    answer: Answer
    is_same_view: bool


class KeptAnswers:
    """The answers of one database; every method raises StoreError."""

    def __init__(self, database: AsyncDatabase[Document], edge: StoreEdge) -> None:
        self._answers = database[COLLECTION]
        # What a majority has: the others may be undone by a failover.
        self._confirmed = self._answers.with_options(read_concern=ReadConcern("majority"))
        self._edge = edge

    async def insert(self, kept: Sequence[tuple[Claim, Answer]], session: Session) -> None:
        """Keep answers within the transaction of their writes; raise KeyTaken, AnswerTooLarge or PyMongoError."""
        try:
            if len(kept) == 1:
                await self._answers.insert_one(_document(*kept[0]), session=session)
            else:
                await self._answers.insert_many([_document(*each) for each in kept], session=session)
        except DuplicateKeyError as error:
            raise KeyTaken from error

    async def keep(self, claim: Claim, answer: Answer) -> None:
        """Keep the answer to a request that wrote nothing, unless the key has one already."""
        async with self._edge(driver_timeout, writing=True):
            with suppress(DuplicateKeyError):
                await self._answers.insert_one(_document(claim, answer))

    async def find(self, claim: Claim) -> KeptAnswer | None:
        """Return the answer that the key has, with its place in the stream; raise KeyReused."""
        async with self._edge(driver_timeout, writing=False):
            found = await self._confirmed.find_one({"_id": claim.key})
            if found is None:
                return None
            if found["request"] != claim.request:
                raise KeyReused
            at = None
            if found["last"] is not None:
                at = found["at"] if found.get("at") is not None else await self._committed_at(found)
        answer = Answer(found["status"], found["headers"], found["body"], found["epoch"], found["last"], at)
        return KeptAnswer(answer, found["view"] == claim.view)

    async def _committed_at(self, found: Document) -> int | None:
        """Return the cluster time at which the answer was written with its order, and note it for the next repeat.

        A transaction learns its time from the commit only, when nothing can be added to it. The change stream knows it
        as long as the oplog reaches back.
        """
        at = await self._of_stream(found["_id"], found["after"])
        if at is not None:
            with suppress(PyMongoError):
                await self._answers.update_one({"_id": found["_id"]}, {"$set": {"at": at}})
        return at

    async def _of_stream(self, key: str, after: Timestamp) -> int | None:
        own: list[Mapping[str, Any]] = [{"$match": {"operationType": "insert", "documentKey._id": key}}]
        with suppress(PyMongoError):
            async with await self._answers.watch(
                own, start_at_operation_time=after, max_await_time_ms=_AWAIT_MS
            ) as changes:
                for _ in range(_MAX_WAITS):
                    event = await changes.try_next()
                    if event is not None:
                        return cluster_time(event["clusterTime"])
        return None


def _document(claim: Claim, answer: Answer) -> Document:
    if len(answer.body) > LARGEST_KEPT:
        raise AnswerTooLarge
    return {
        "_id": claim.key,
        "request": claim.request,
        "view": claim.view,
        "status": answer.status,
        "headers": dict(answer.headers),
        "body": Binary(answer.body),
        "epoch": answer.epoch,
        "last": answer.last,
        "after": Timestamp(0, 0),  # MongoDB writes its time into it, which is just before that of the commit
        CREATED_AT: datetime.now(UTC),
    }
