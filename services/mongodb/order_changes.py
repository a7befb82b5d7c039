"""Reads the changes of one document from the oplog, of a stretch of time: MongoDB itself leaves out the others."""

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from services.common.cursor import cluster_time, timestamp
from services.common.normalize import ENDS, FIELDS, IMAGES, match_stage, token_time
from services.common.visible_fields import ALL_FIELDS, VisibleFields
from services.mongodb.command_cursor import command_cursor
from services.mongodb.faults import FaultKind
from services.mongodb.images import deciding_images, images_within
from services.mongodb.raw_events import RAW
from services.mongodb.source_failed import SourceFailed, source_failed

_AWAIT_MS = 20  # for changes that follow the stretch
_BATCH = 20  # events, with both images of each
# Bytes of BSON of a state that is shown. A hundred larger ones in one answer would take gigabytes of memory.
_LARGEST_IMAGE = 131_072

Event = Mapping[str, Any]


class OplogStretch(NamedTuple):
    """The newest changes of a document in a stretch of time, oldest first, each to be `decoded`.

    ``since`` is the cluster time after which they are all there is; ``is_end`` that the collection began there.
    """

    events: list[Event]
    since: int
    is_end: bool


class OrderChanges:
    """The changes of the documents of one collection, with the ``visible`` fields of states that are not too large."""

    def __init__(self, database: "AsyncDatabase[Any]", collection: str, visible: VisibleFields = ALL_FIELDS) -> None:
        self._database: AsyncDatabase[Any] = database.with_options(codec_options=RAW)
        self._match = match_stage(collection)
        self._visible = visible

    async def between(self, id: Any, since: int, until: int | None, most: int) -> OplogStretch:
        """Return the last ``most`` changes of the document ``id`` after cluster time ``since``, up to ``until`` or now.

        Raise SourceFailed, where the oplog does not reach back that far, too. Cancel it to bound its time: then MongoDB
        stops searching.
        """
        try:
            return await self._read(id, since, until, most, images=True)
        except SourceFailed as error:
            if error.fault is not FaultKind.UNREADABLE:
                raise
        return await self._read(id, since, until, most, images=False)  # one of them is too large with its images

    async def is_merged(self) -> bool:
        """Return whether a mongos merges the changes of several shards; raise SourceFailed."""
        try:
            return await self._database.client.is_mongos
        except PyMongoError as error:
            raise source_failed(error) from error

    async def _read(self, id: Any, since: int, until: int | None, most: int, *, images: bool) -> OplogStretch:
        found: deque[Event] = deque(maxlen=most)
        dropped_at = since
        is_end = False
        pipeline = self._pipeline(id, since, until, images=images)
        try:
            async with command_cursor(self._database, pipeline, _BATCH, _AWAIT_MS) as cursor:
                while True:
                    batch = await cursor.next_batch(list)
                    for event in batch:
                        at = cluster_time(event["clusterTime"])
                        if until is not None and at > until:
                            return OplogStretch(list(found), dropped_at, is_end)
                        if event["operationType"] in ENDS:  # what came before was another collection
                            found.clear()
                            dropped_at, is_end = at, True
                            continue
                        if len(found) == most:
                            dropped_at, is_end = cluster_time(found[0]["clusterTime"]), False
                        found.append(event)
                    is_there = until is None or (token_time(cursor.token) or 0) >= until
                    if not batch and (is_there or not cursor.is_open):
                        return OplogStretch(list(found), dropped_at, is_end)
        except PyMongoError as error:
            raise source_failed(error, opening_with_token=True) from error

    def _pipeline(self, id: Any, since: int, until: int | None, *, images: bool) -> list[dict[str, Any]]:
        options: dict[str, Any] = {
            "startAtOperationTime": timestamp(since + 1),
            "fullDocument": "whenAvailable",
            "fullDocumentBeforeChange": "whenAvailable",
        }
        last = timestamp(2**63 - 1 if until is None else until)
        # Those that follow the stretch end the search: without them MongoDB would go on to the end of the oplog.
        later = {"clusterTime": {"$gt": last}}
        wanted = {"$or": [{"documentKey._id": {"$eq": id}}, {"operationType": {"$in": [*ENDS]}}, later]}
        is_wanted = {"$lte": ["$clusterTime", last]}
        fields: dict[str, Any] = {**dict.fromkeys((*FIELDS, "txnNumber"), 1), **deciding_images()}
        if images:
            fields |= images_within(_LARGEST_IMAGE, self._visible, dict.fromkeys(IMAGES, is_wanted))
        return [{"$changeStream": options}, {"$match": {"$and": [self._match["$match"], wanted]}}, {"$project": fields}]
