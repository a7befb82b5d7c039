"""Keeps the revocations in MongoDB, which is the truth about them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any, NamedTuple

import pymongo
from bson import ObjectId
from bson.codec_options import CodecOptions
from pymongo import ReturnDocument
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from services.common.error_text import error_text
from services.common.revocation_document import CHANGED_AT, COLLECTION, UNTIL
from services.gateway.revocations import MOST_REVOCATIONS, Revocation, RevocationsUnavailable, TooManyRevocations
from services.mongodb.faults import explain

_PATIENCE = 2.0  # seconds for one operation
_WRITE_PATIENCE = 5.0
# Gateways that are asked at the same moment may together take a few more than the most.
_MOST_READ = MOST_REVOCATIONS + 1_000
_PAGE = 1_000

_CODEC: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)


class RevocationsRead(NamedTuple):
    """What was read: revocations, the ids of lifted ones, and the latest change among them."""

    revocations: list[Revocation]
    lifted: list[str]
    latest: datetime | None


class RevocationStore:
    """The collection `revocations`; every method raises RevocationsUnavailable.

    A lifted revocation stays as a mark until it would have ended, so that gateways that poll learn of it.
    """

    def __init__(self, database: AsyncDatabase[dict[str, Any]]) -> None:
        # Majority for both: a failover must take back no revocation that was acknowledged, nor one that was obeyed.
        self._collection = database.get_collection(
            COLLECTION,
            codec_options=_CODEC,
            read_concern=ReadConcern("majority"),
            write_concern=WriteConcern("majority"),
        )

    async def add(self, revocation: Revocation, by: str) -> Revocation:
        """Store one under a new id, and return it with the id; raise TooManyRevocations."""
        fields = {
            "revoked_at": _moment(revocation.revoked_at),
            UNTIL: _moment(revocation.until),
            "by": by,
            **({"subject": revocation.subject} if revocation.subject is not None else {}),
            **({"token_id": revocation.token_id} if revocation.token_id is not None else {}),
            **({"issued_before": _moment(revocation.issued_before)} if revocation.issued_before is not None else {}),
        }
        async with _edge(_WRITE_PATIENCE):
            if await self._collection.estimated_document_count() >= MOST_REVOCATIONS:
                raise TooManyRevocations
            # An update, because only updates can set a field by MongoDB's clock.
            stored = await self._collection.find_one_and_update(
                {"_id": ObjectId()},
                {"$setOnInsert": fields, "$currentDate": {CHANGED_AT: True}},
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        return _revocation(stored or {})

    async def lift(self, id: str) -> Revocation | None:
        """End one, and return it; None where there is none."""
        if not ObjectId.is_valid(id):
            return None
        async with _edge(_WRITE_PATIENCE):
            found = await self._collection.find_one_and_update(
                {"_id": ObjectId(id), **_still(datetime.now(UTC))},
                {"$set": {"lifted": True}, "$currentDate": {CHANGED_AT: True}},
            )
        return None if found is None else _revocation(found)

    async def page(self, limit: int, after: str | None) -> list[Revocation]:
        """Return those that apply, newest first (to the second), below the one with the id ``after``."""
        below = {} if after is None else {"_id": {"$lt": ObjectId(after)}}
        async with _edge(_PATIENCE):
            found = self._collection.find({**below, **_still(datetime.now(UTC))}, sort={"_id": -1}, limit=limit)
            return [_revocation(document) async for document in found]

    async def read(self, changed_after: datetime | None) -> RevocationsRead:
        """Return all, or only what has changed since; no more than gateways keep in memory."""
        condition = {} if changed_after is None else {CHANGED_AT: {"$gt": changed_after}}
        revocations, lifted, latest = [], [], None
        async with _edge(_PATIENCE):
            async for document in self._collection.find(condition, batch_size=_PAGE, limit=_MOST_READ + 1):
                changed_at = document.get(CHANGED_AT)
                if isinstance(changed_at, datetime):
                    latest = changed_at if latest is None else max(latest, changed_at)
                if document.get("lifted"):
                    lifted.append(str(document["_id"]))
                else:
                    revocations.append(_revocation(document))
        if len(revocations) + len(lifted) > _MOST_READ:
            raise RevocationsUnavailable(f"the collection {COLLECTION} has more documents than gateways can keep")
        return RevocationsRead(revocations, lifted, latest)


@asynccontextmanager
async def _edge(patience: float) -> AsyncIterator[None]:
    try:
        with pymongo.timeout(patience):
            yield
    except PyMongoError as error:
        raise RevocationsUnavailable(explain(error_text(error))[:300]) from error


def _still(now: datetime) -> dict[str, Any]:
    return {"lifted": {"$exists": False}, UNTIL: {"$gt": now}}


def _moment(seconds: float) -> datetime:
    """Return the time in BSON's milliseconds, later rather than earlier: a revocation must not become narrower."""
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ceil(round(seconds * 1e6) / 1000))


def _revocation(document: Mapping[str, Any]) -> Revocation:
    subject, token_id, before = (document.get(name) for name in ("subject", "token_id", "issued_before"))
    try:
        found = Revocation(
            id=str(document["_id"]),
            revoked_at=document["revoked_at"].timestamp(),
            until=document[UNTIL].timestamp(),
            subject=subject,
            token_id=token_id,
            issued_before=None if before is None else before.timestamp(),
        )
    except (KeyError, AttributeError) as error:
        raise _unreadable(document) from error
    if [type(what) for what in (subject, token_id) if what is not None] != [str]:
        raise _unreadable(document)
    return found


def _unreadable(document: Mapping[str, Any]) -> RevocationsUnavailable:
    # Not skipped: whom it was to keep out is unknown.
    return RevocationsUnavailable(f"the document {document.get('_id')} of {COLLECTION} is not a revocation")
