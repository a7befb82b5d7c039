"""Reads documents as they were at one moment, and returns that moment's cluster time."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any, NamedTuple

import bson
from bson import Timestamp
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import errors
from pymongo.asynchronous.collection import AsyncCollection

from services.common.cursor import cluster_time
from services.common.documents import CODEC, Json
from services.common.fair_turns import Pace
from services.common.filter_fields import deciding_fields
from services.common.order_json import order_json
from services.gateway.store_errors import StoreFailed

Document = dict[str, Any]


class _RawDocument(RawBSONDocument):
    """A raw document that takes the labels which the driver adds to a write concern error (PyMongo 4.20).

    It calls ``update`` on the error, as on a dict. Without it, a write during an election would fail by AttributeError,
    and not be retried.
    """

    _added: Mapping[str, Any] = MappingProxyType({})

    def update(self, fields: Mapping[str, Any]) -> None:
        """Add fields; they replace those of the same name."""
        self._added = {**self._added, **fields}

    def __getitem__(self, name: str) -> Any:
        return self._added[name] if name in self._added else super().__getitem__(name)


RAW: CodecOptions[_RawDocument] = CodecOptions(document_class=_RawDocument)
# MongoDB may send 16 MiB at once, which take up to a second to decode and convert: replies stay raw, and larger ones
# than this are decoded document by document, with turns for others in between. This size takes 2 ms at worst.
INLINE_BYTES = 32_768
# A larger document than this is converted in a thread, which takes turns with the event loop.
THREAD_BYTES = 131_072

_MAX_ATTEMPTS = 8
_RETRY_PAUSE = 0.02  # seconds, times the number of the attempt
# 239 SnapshotTooOld, 246 SnapshotUnavailable: the collection or an index is being created; 134: no majority point yet.
_SNAPSHOT_UNAVAILABLE = frozenset({134, 239, 246})


class DecodedOrder(NamedTuple):
    """A document as JSON values, and its stored fields, of a large one those only that may decide filters."""

    order: dict[str, Json]
    document: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The text of its ``_id``."""
        return str(self.order["_id"])

    @property
    def fields(self) -> Mapping[str, str]:
        """The fields that decide filters."""
        return deciding_fields(self.document) or {}


class Snapshot(NamedTuple):
    """The matches at cluster time ``at``, exactly; ``is_truncated``: the reply (16 MiB) had no room for more."""

    documents: list[DecodedOrder]
    at: int
    is_truncated: bool
    is_small: bool  # it can be encoded in one step


async def read_snapshot(
    collection: AsyncCollection[Document], conditions: Mapping[str, Any], limit: int, pace: Pace, skip: int = 0
) -> Snapshot:
    """Return the documents that match, newest id first, read at this ``pace``; raise PyMongoError or StoreFailed."""
    before: Timestamp | None = None
    for attempt in range(1, _MAX_ATTEMPTS + 1):
        try:
            reply = await _find(collection, conditions, limit, skip)
        except (errors.OperationFailure, errors.AutoReconnect) as error:
            if attempt == _MAX_ATTEMPTS or not _is_retryable(error):
                raise
            await asyncio.sleep(_RETRY_PAUSE * attempt)
            continue
        await pace.begin()
        is_small = len(reply.raw) <= INLINE_BYTES  # nearly always, and cheaper decoded as a whole
        answer: Document | RawBSONDocument = bson.decode(reply.raw, CODEC) if is_small else reply
        cursor = answer["cursor"]
        at = cursor.get("atClusterTime", before)
        if at is not None:
            if is_truncated := cursor["id"] != 0:
                with suppress(errors.PyMongoError):  # the server's timeout ends it after ten minutes anyway
                    await collection.database.command({"killCursors": collection.name, "cursors": [cursor["id"]]})
            found = cursor["firstBatch"]
            documents = (
                [DecodedOrder(order_json(each), each) for each in found] if is_small else await _read_each(found, pace)
            )
            return Snapshot(documents, cluster_time(at), is_truncated, is_small)
        # The collection does not exist, so the server took no snapshot. If it still does not exist at the next
        # attempt, the list was empty at this reply's operation time, the earlier of the two.
        before = answer["operationTime"]
    raise StoreFailed("MongoDB gave no time for its snapshot")


async def read(document: RawBSONDocument) -> DecodedOrder:
    """Read a document from BSON; a large one in a thread, which takes turns with the event loop."""
    raw = bytes(document.raw)
    return _read(raw) if len(raw) <= THREAD_BYTES else await asyncio.to_thread(_read, raw)


def _read(raw: bytes) -> DecodedOrder:
    document = bson.decode(raw, CODEC)
    # Without the document: to free hundreds of large ones at once, when the list has been sent, would take 50 ms.
    return DecodedOrder(order_json(document), deciding_fields(document) or {})


async def _read_each(found: Sequence[RawBSONDocument], pace: Pace) -> list[DecodedOrder]:
    documents = []
    for raw in found:
        documents.append(await read(raw))
        await pace.step()
    return documents


async def _find(
    collection: AsyncCollection[Document], conditions: Mapping[str, Any], limit: int, skip: int
) -> RawBSONDocument:
    # The command and not find(): only its reply has the snapshot's time.
    return await collection.database.command(
        {
            "find": collection.name,
            "filter": conditions,
            "sort": {"_id": -1},
            "limit": limit,
            "skip": skip,
            "batchSize": limit,
            "readConcern": {"level": "snapshot"},
        },
        codec_options=RAW,
    )


def is_snapshot_unavailable(error: BaseException) -> bool:
    """Tell whether the server cannot provide a snapshot at the moment, but soon will."""
    return isinstance(error, errors.OperationFailure) and error.code in _SNAPSHOT_UNAVAILABLE


def _is_retryable(error: errors.PyMongoError) -> bool:
    return is_snapshot_unavailable(error) or (isinstance(error, errors.AutoReconnect) and not error.timeout)
