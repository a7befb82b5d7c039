"""The change stream of the orders: the commands to MongoDB, and the meaning of its replies."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from enum import Enum
from functools import partial
from typing import Any

from bson.errors import InvalidBSON
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure, PyMongoError

from services.common.cursor import cluster_time, timestamp
from services.common.documents import CODEC
from services.common.error_text import error_text
from services.common.normalize import FIELDS, LARGEST_IMAGE, match_stage
from services.common.visible_fields import ALL_FIELDS, VisibleFields
from services.mongodb.change_cursor import OpenCursor
from services.mongodb.change_reader import ChangeReader, Detail, StartAfter, StartAt, StartPoint
from services.mongodb.collection_kind import CollectionKind
from services.mongodb.command_cursor import run_read
from services.mongodb.deployment import Deployment
from services.mongodb.faults import FaultKind
from services.mongodb.images import deciding_images, images_within
from services.mongodb.open_stream import OpenStream
from services.mongodb.primary import Primary
from services.mongodb.raw_events import RAW
from services.mongodb.source_failed import SourceFailed, source_failed

# Longer than the interval between two lease checks, shorter than the client's socket timeout. It bounds how long a stop
# takes, and sets the heartbeat of a quiet stream; changes do not wait for it.
AWAIT_MS = 500

_LOOK_UP = "updateLookup"
# Of the document before an update or a replacement nothing is used but the fields that decide filters.
_WANTED: dict[str, Any] = {
    "fullDocument": True,
    "fullDocumentBeforeChange": {"$eq": ["$operationType", "delete"]},
}
_PROBE_MS = 500
_MAX_TIME_EXPIRED = 50


class Images(Enum):
    """The documents that come with an event."""

    LOOKED_UP = "looked up"  # the stored images where the collection keeps them, else the current document
    STORED = "stored"  # only stored images


class ChangeStream:
    """The changes of one collection, read through its database so that a drop or a rename does not end the stream.

    ``open_cursor`` opens its cursors; ``await_ms`` is how long MongoDB waits for a change before it replies without.
    Events have the ``visible`` fields and those that decide filters; where ``is_raw``, they are to be `decoded`.
    """

    def __init__(
        self,
        database: "AsyncDatabase[Any]",
        collection: str,
        primary: Primary,
        stall_seconds: float,
        open_cursor: OpenCursor,
        await_ms: int = AWAIT_MS,
        *,
        visible: VisibleFields = ALL_FIELDS,
        is_raw: bool = False,
    ) -> None:
        self._database = database
        self._for_events: AsyncDatabase[Any] = database.with_options(codec_options=RAW if is_raw else CODEC)
        self._visible = visible
        self._collection = collection
        self.kind = CollectionKind(database, collection)
        self._primary = primary
        self._stall_seconds = stall_seconds
        self._open_cursor = open_cursor
        self._await_ms = await_ms
        self._match = match_stage(collection)

    @property
    def pipeline(self) -> str:
        """A hash of the match stage: a resume token is valid only for the pipeline that issued it."""
        return hashlib.sha256(json.dumps(self._match, sort_keys=True).encode()).hexdigest()[:16]

    async def deployment(self) -> Deployment:
        """Return MongoDB's identity and cluster time; raise SourceFailed."""
        try:
            hello = await self._database.command("hello")
            stamp = hello.get("operationTime")
            if stamp is None:
                raise SourceFailed(
                    FaultKind.NO_REPLICA_SET, "this MongoDB is not a replica set: it has no change streams"
                )
            return Deployment(await self._replica_set_id(), cluster_time(stamp))
        except PyMongoError as error:
            raise source_failed(error) from error

    async def _replica_set_id(self) -> str | None:
        try:
            reply = await self._database.client.admin.command("replSetGetConfig")
        except OperationFailure:
            return None  # the watcher lacks the role (clusterMonitor), or the server is a mongos
        identity = reply["config"]["settings"].get("replicaSetId")
        return None if identity is None else str(identity)

    def open(
        self, start: StartPoint, batch_size: int, images: Images = Images.LOOKED_UP
    ) -> AbstractAsyncContextManager[ChangeReader]:
        """Open the stream, read in batches of at most ``batch_size`` events; raise SourceFailed."""
        return ChangeReader(partial(self._open_stream, images), start, batch_size)

    @asynccontextmanager
    async def _open_stream(
        self, wanted: Images, start: StartPoint, batch_size: int, *, detail: Detail
    ) -> AsyncIterator[OpenStream]:
        options: dict[str, Any] = _start_option(start)
        if detail is not Detail.NOTHING:
            # Prefer the stored image of the change; a lookup returns only the current document.
            look_up = wanted is Images.LOOKED_UP and not await self._keeps_images()
            options["fullDocument"] = _LOOK_UP if look_up else "whenAvailable"
            options["fullDocumentBeforeChange"] = "whenAvailable"
        fields: dict[str, Any] = dict.fromkeys(FIELDS, 1)
        if detail is not Detail.NOTHING:
            fields |= deciding_images()
        if detail is Detail.IMAGES:
            fields |= images_within(LARGEST_IMAGE, self._visible, _WANTED)
        # Not by the driver's `watch`, which resumes by itself on whatever server answers: perhaps a database that was
        # restored in between, which silently accepts a token of a quiet moment. We must check first.
        pipeline = [{"$changeStream": options}, self._match, {"$project": fields}]
        async with AsyncExitStack() as stack:
            try:
                opening = self._open_cursor(self._for_events, pipeline, batch_size, self._await_ms)
                cursor = await stack.enter_async_context(opening)
            except PyMongoError as error:
                raise source_failed(error, opening_with_token=True) from error
            except InvalidBSON as error:  # of the first events, which come with the cursor
                raise SourceFailed(FaultKind.UNREADABLE, error_text(error)) from error
            looked_up = options.get("fullDocument") == _LOOK_UP
            yield OpenStream(
                cursor, self._primary, self._stall_seconds, recheck_images=self._keeps_images if looked_up else None
            )

    async def is_merged(self) -> bool:
        """Return whether a mongos merges the streams of several shards; raise SourceFailed."""
        try:
            return await self._database.client.is_mongos
        except PyMongoError as error:
            raise source_failed(error) from error

    async def reaches(self, ts: int) -> bool:
        """Return whether the oplog holds everything since cluster time ``ts``, without reading it; raise SourceFailed.

        MongoDB checks this first. Then it searches for the first change of the database, which may take long.
        """
        command = {
            "aggregate": 1,
            "pipeline": [{"$changeStream": _start_option(StartAt(ts))}, {"$project": {"_id": 1}}],
            "cursor": {"batchSize": 1},
            "maxTimeMS": _PROBE_MS,
        }
        try:
            reply = await run_read(self._for_events, command)
            if reply["cursor"]["id"]:
                await run_read(self._for_events, {"killCursors": "$cmd.aggregate", "cursors": [reply["cursor"]["id"]]})
        except PyMongoError as error:
            if isinstance(error, OperationFailure) and error.code == _MAX_TIME_EXPIRED:
                return True
            failed = source_failed(error, opening_with_token=True)
            if failed.fault in _OUT_OF_REACH:
                return False
            raise failed from error
        return True

    async def _keeps_images(self) -> bool:
        try:
            async for info in await self._database.list_collections(filter={"name": self._collection}):
                return bool(info["options"].get("changeStreamPreAndPostImages", {}).get("enabled"))
        except PyMongoError as error:
            raise source_failed(error) from error
        return False


_OUT_OF_REACH = (FaultKind.HISTORY_LOST, FaultKind.TOKEN_UNKNOWN, FaultKind.NO_REPLICA_SET)


def _start_option(start: StartPoint) -> dict[str, Any]:
    if isinstance(start, StartAfter):
        # Unlike resumeAfter, this accepts the token of any event, even of an invalidate.
        return {"startAfter": {"_data": start.token}}
    return {"startAtOperationTime": timestamp(start.ts)}
