"""Reads documents as they were at one moment, and says which moment that was."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from bson import Timestamp
from pymongo import errors
from pymongo.asynchronous.collection import AsyncCollection

from services.common.cursor import cluster_time
from services.common.documents import CODEC
from services.gateway.store_errors import StoreFailed

Document = dict[str, Any]

_TRIES = 4
_AGAIN_AFTER = 0.02  # seconds, times the number of the try
# 239 SnapshotTooOld, 246 SnapshotUnavailable: the collection or an index is being made; 134: no majority point yet.
_NOT_YET = frozenset({134, 239, 246})


class Snapshot(NamedTuple):
    """What matched at cluster time ``at``, exactly; where it ``is_cut``, the reply (16 MiB) has no room for more."""

    documents: list[Document]
    at: int
    is_cut: bool


async def read_snapshot(collection: AsyncCollection[Document], conditions: Mapping[str, Any], limit: int) -> Snapshot:
    """Return the documents that match, newest id first; raise PyMongoError or StoreFailed."""
    before: Timestamp | None = None
    for attempt in range(1, _TRIES + 1):
        try:
            reply = await _find(collection, conditions, limit)
        except (errors.OperationFailure, errors.AutoReconnect) as error:
            if attempt == _TRIES or not _is_worth_repeating(error):
                raise
            await asyncio.sleep(_AGAIN_AFTER * attempt)
            continue
        cursor = reply["cursor"]
        at = cursor.get("atClusterTime", before)
        if at is not None:
            if is_cut := cursor["id"] != 0:
                with suppress(errors.PyMongoError):  # it would end by itself, in ten minutes
                    await collection.database.command({"killCursors": collection.name, "cursors": [cursor["id"]]})
            return Snapshot(cursor["firstBatch"], cluster_time(at), is_cut)
        # The collection does not exist, so the server took no snapshot. If it does not exist the next time
        # either, then the list was empty at the time that this reply names, which is the earlier one.
        before = reply["operationTime"]
    raise StoreFailed("MongoDB gave no time for its snapshot")


async def _find(collection: AsyncCollection[Document], conditions: Mapping[str, Any], limit: int) -> Document:
    # The command and not find(): its reply says which time the snapshot is of.
    return await collection.database.command(
        {
            "find": collection.name,
            "filter": conditions,
            "sort": {"_id": -1},
            "limit": limit,
            "batchSize": limit,
            "readConcern": {"level": "snapshot"},
        },
        codec_options=CODEC,
    )


def is_not_yet(error: errors.PyMongoError) -> bool:
    """Say whether the server cannot give a snapshot at the moment, but soon will."""
    return isinstance(error, errors.OperationFailure) and error.code in _NOT_YET


def _is_worth_repeating(error: errors.PyMongoError) -> bool:
    return is_not_yet(error) or (isinstance(error, errors.AutoReconnect) and not error.timeout)
