"""Keeps the checkpoint and the lease of one stream in MongoDB: one document of `stream_state`."""

import os
import secrets
import socket
from contextlib import suppress
from typing import Any

from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError, PyMongoError
from pymongo.write_concern import WriteConcern

from services.common.cursor import Position
from services.common.error_text import error_text
from services.common.normalize import token_time
from services.mongodb.faults import explain
from services.watcher.start import Checkpoint


class StateUnavailable(Exception):
    """MongoDB is unavailable now; a retry may succeed."""


class DatabaseRestored(Exception):
    """MongoDB has an older checkpoint than before: it was restored from a backup."""


class LeaseLost(Exception):
    """Another watcher has the lease, or may have it by now."""


class StreamState:
    """The document of one stream, as used by one watcher.

    Lease times are the server's (``$$NOW``), so the watchers' clocks do not matter. The lease only elects; a watcher
    that lost it is fenced off by its ``term``, which Redis checks with each batch.
    """

    def __init__(self, collection: "AsyncCollection[dict[str, Any]]", stream: str, lease_seconds: float) -> None:
        # An isolated primary accepts writes that it can never confirm: leave time to ask its successor.
        majority = WriteConcern("majority", wtimeout=int(lease_seconds * 200))
        self._collection = collection.with_options(write_concern=majority)
        self._stream = stream
        self._lease_ms = int(lease_seconds * 1000)
        self._newest: Checkpoint | None = None
        self.holder: str | None = None  # the other watcher whose lease `acquire` found unexpired; it may be dead
        # Unique to this run of the process: after a restart we are a new owner, and take a new term.
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"

    async def acquire(self, above: int = 0) -> int | None:
        """Take the lease if it is free and return its term, else None; raise StateUnavailable.

        The term is above ``above``: the log may have a higher one than a restored database.
        """
        mine = {
            "$and": [
                {"$eq": ["$owner", self.owner]},
                {"$gte": ["$lease_expires_at", "$$NOW"]},
                {"$gt": ["$term", above]},
            ]
        }
        term = {"$max": [{"$ifNull": ["$term", 0]}, above]}
        free = {"$or": [{"owner": None}, {"owner": self.owner}, {"$expr": {"$lt": ["$lease_expires_at", "$$NOW"]}}]}
        try:
            self.holder = await self._find_holder()
            if self.holder is not None:
                return None
            await self._create()
            document = await self._collection.find_one_and_update(
                {"_id": self._stream, **free},
                [
                    {"$set": {"term": {"$cond": [mine, term, {"$add": [term, 1]}]}}},
                    {"$set": {"owner": self.owner, "lease_expires_at": {"$add": ["$$NOW", self._lease_ms]}}},
                ],
                return_document=ReturnDocument.AFTER,
            )
        except PyMongoError as error:
            raise StateUnavailable(explain(error_text(error))) from error
        return None if document is None else int(document["term"])

    async def _find_holder(self) -> str | None:
        """Return the other watcher that holds the lease: a mere read, since standbys ask often."""
        lasts = {"$expr": {"$gte": ["$lease_expires_at", "$$NOW"]}}
        other = {"_id": self._stream, "owner": {"$nin": [None, self.owner]}, **lasts}
        found = await self._collection.find_one(other, {"owner": 1})
        return None if found is None else str(found["owner"])

    async def renew(self, term: int) -> None:
        """Extend the lease; raise LeaseLost if another watcher has it, StateUnavailable if MongoDB does not answer."""
        await self._update(term, {"lease_expires_at": {"$add": ["$$NOW", self._lease_ms]}})

    async def release(self, term: int) -> None:
        """Release the lease, so that a standby need not wait until it expires."""
        await self._update(term, {"owner": None, "lease_expires_at": "$$NOW"})

    async def save(self, term: int, checkpoint: Checkpoint) -> None:
        """Save that everything up to the checkpoint is published; raise as ``renew`` does."""
        await self._update(
            term,
            {
                "resume_token": {"$literal": checkpoint.token},
                "position": str(checkpoint.position),
                "epoch": checkpoint.epoch,
                "replica_set_id": checkpoint.replica_set_id,
                "pipeline": checkpoint.pipeline,
                "updated_at": "$$NOW",
            },
        )
        self._newest = checkpoint

    async def load(self) -> Checkpoint | None:
        """Return the checkpoint, or None if none was ever saved or it cannot be parsed.

        Raise DatabaseRestored, once, when it is older than the one saved or loaded before.
        """
        try:
            document = await self._collection.find_one({"_id": self._stream})
        except PyMongoError as error:
            raise StateUnavailable(explain(error_text(error))) from error
        found = None if document is None else _checkpoint(document)
        newest, self._newest = self._newest, found
        if found is not None and newest is not None and _known_until(found) < _known_until(newest):
            raise DatabaseRestored
        return found

    async def _create(self) -> None:
        with suppress(DuplicateKeyError):  # another watcher was faster
            await self._collection.update_one({"_id": self._stream}, {"$setOnInsert": {"term": 0}}, upsert=True)

    async def _update(self, term: int, fields: dict[str, Any]) -> None:
        try:
            result = await self._collection.update_one(
                {"_id": self._stream, "owner": self.owner, "term": term}, [{"$set": fields}]
            )
        except PyMongoError as error:
            raise StateUnavailable(explain(error_text(error))) from error
        if result.matched_count == 0:
            raise LeaseLost(f"term {term} of {self._stream} is over")


def _known_until(checkpoint: Checkpoint) -> int:
    """The cluster time up to which a checkpoint knows everything."""
    return max(checkpoint.position.ts, token_time(checkpoint.token) or 0)


def _checkpoint(document: dict[str, Any]) -> Checkpoint | None:
    try:
        return Checkpoint(
            epoch=_text(document["epoch"]),
            position=Position.parse(_text(document["position"])),
            token=_text(document["resume_token"]),
            replica_set_id=document.get("replica_set_id"),
            pipeline=_text(document["pipeline"]),
        )
    except (KeyError, ValueError, TypeError):
        return None  # edited by hand: a new epoch makes the clients resync


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"not a string: {value!r}")
    return value
