"""Reads documents as they were at one moment, and returns that moment's cluster time.

Every read of orders is one. What clients are sent as a `snapshot` is in `snapshot_stream.py`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any, NamedTuple

import bson
from bson import Timestamp
from bson.codec_options import CodecOptions
from bson.errors import InvalidBSON
from bson.raw_bson import RawBSONDocument
from pymongo import errors
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection

from services.common.cursor import cluster_time
from services.common.documents import CODEC
from services.common.fair_turns import Pace
from services.common.order_json import order_json
from services.common.visible_fields import VisibleFields
from services.gateway.decoded_order import DecodedOrder, read_each
from services.gateway.store_errors import SnapshotTooOld, StoreFailed

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

NEWEST_FIRST: Mapping[str, int] = MappingProxyType({"_id": -1})
_MAX_ATTEMPTS = 8
_RETRY_PAUSE = 0.02  # seconds, times the number of the attempt
# 239 SnapshotTooOld, 246 SnapshotUnavailable: the collection or an index is being created; 134: no majority point yet.
_SNAPSHOT_UNAVAILABLE = frozenset({134, 239, 246})
_TOO_OLD = 239


class Question(NamedTuple):
    """What to read: orders that match, in this order; all of them where there is no ``limit``.

    ``at``: as they were at the time of an earlier reply. ``hint``: the index to take.
    """

    conditions: Mapping[str, Any]
    limit: int | None = None
    skip: int = 0
    sort: Mapping[str, int] = NEWEST_FIRST
    hint: str | None = None
    projection: Mapping[str, int] | None = None
    at: Timestamp | None = None

    def more(self) -> dict[str, Any]:
        """Return what it has besides conditions, limit and skip, as far as that is not the usual."""
        usual = Question({})
        names = ("sort", "hint", "projection", "at")
        return {name: value for name in names if (value := getattr(self, name)) != getattr(usual, name)}

    def command(self, collection: str, batch_size: int) -> Document:
        """Return the command; not find(), because only the command's reply has the snapshot's time."""
        optional = {"limit": self.limit, "skip": self.skip or None, "hint": self.hint, "projection": self.projection}
        concern = {"level": "snapshot"} if self.at is None else {"level": "snapshot", "atClusterTime": self.at}
        return {
            "find": collection,
            "filter": self.conditions,
            "sort": self.sort,
            "batchSize": batch_size,
            "readConcern": concern,
            **{name: value for name, value in optional.items() if value is not None},
        }


class Snapshot(NamedTuple):
    """The matches at the cluster time ``time``, exactly; ``is_truncated``: there was no room for more of them."""

    documents: list[DecodedOrder]
    time: Timestamp
    is_truncated: bool
    is_small: bool  # it can be encoded in one step
    reply: RawBSONDocument

    def stored(self) -> Sequence[RawBSONDocument]:
        """Return the documents as they are stored."""
        found: Sequence[RawBSONDocument] = self.reply["cursor"]["firstBatch"]
        return found

    @property
    def at(self) -> int:
        """The time as a position in the stream of changes."""
        return cluster_time(self.time)


async def read_snapshot(
    collection: AsyncCollection[Document],
    question: Question,
    limit: int,
    pace: Pace,
    visible: VisibleFields,
    *,
    most_bytes: int | None = None,
    leaves_large: bool = False,
) -> Snapshot:
    """Return ``limit`` of the documents, read at this ``pace``; raise PyMongoError, StoreFailed or SnapshotTooOld.

    ``most_bytes`` is how many bytes of BSON to return at most, or one larger document; without, as many as MongoDB
    sends at once. Where it ``leaves_large`` ones, only their ids and what decides filters are read.
    """
    reply = await first_reply(collection, question._replace(limit=limit), limit, pace)
    if is_truncated := reply.cursor != 0:
        with suppress(errors.PyMongoError):  # the server's timeout ends it after ten minutes anyway
            await collection.database.command({"killCursors": collection.name, "cursors": [reply.cursor]})
    documents = (
        [DecodedOrder(order_json(each, visible), each) for each in reply.batch]
        if reply.is_small
        else await read_each(reply.batch, pace, visible, most_bytes, leaves_large=leaves_large)
    )
    is_truncated = is_truncated or len(documents) < len(reply.batch)
    return Snapshot(documents, reply.time, is_truncated, reply.is_small, reply.raw)


class Reply(NamedTuple):
    """The first reply to a question: a batch of documents, decoded where it is small, and the cursor for the rest."""

    raw: RawBSONDocument
    is_small: bool
    batch: Sequence[Any]
    cursor: int
    time: Timestamp


async def first_reply(
    collection: AsyncCollection[Document],
    question: Question,
    batch_size: int,
    pace: Pace,
    session: AsyncClientSession | None = None,
) -> Reply:
    """Ask MongoDB, as often as a snapshot cannot be had yet; raise PyMongoError or StoreFailed.

    With ``at`` in the question, raise SnapshotTooOld where MongoDB no longer has the state of that time.
    """
    command = question.command(collection.name, batch_size)
    before: Timestamp | None = None
    for attempt in range(1, _MAX_ATTEMPTS + 1):
        try:
            reply = await collection.database.command(command, codec_options=RAW, session=session)
        except (errors.OperationFailure, errors.AutoReconnect) as error:
            if question.at is not None and _is_over(error, attempt):
                raise SnapshotTooOld("MongoDB no longer has the state of that time") from error
            if attempt == _MAX_ATTEMPTS or not _is_retryable(error):
                raise
            await asyncio.sleep(_RETRY_PAUSE * attempt)
            continue
        await pace.begin()
        decoded = _decoded(reply.raw) if len(reply.raw) <= INLINE_BYTES else None  # nearly always, and it is cheaper
        is_small = decoded is not None
        answer: Document | RawBSONDocument = reply if decoded is None else decoded
        cursor = answer["cursor"]
        if question.at is not None and "atClusterTime" not in cursor:
            raise SnapshotTooOld("the collection has gone since then")
        at = cursor.get("atClusterTime", before)
        if at is not None:
            return Reply(reply, is_small, cursor["firstBatch"], cursor["id"], at)
        # The collection does not exist, so the server took no snapshot. If it still does not exist at the next
        # attempt, the list was empty at this reply's operation time, the earlier of the two.
        before = answer["operationTime"]
    raise StoreFailed("MongoDB gave no time for its snapshot")


def _decoded(reply: bytes | memoryview) -> Document | None:
    """Decode a reply as a whole; return None where a document in it must be read by itself."""
    try:
        return bson.decode(reply, CODEC)
    except InvalidBSON:
        return None


def is_snapshot_unavailable(error: BaseException) -> bool:
    """Tell whether the server cannot provide a snapshot at the moment, but soon will."""
    return isinstance(error, errors.OperationFailure) and error.code in _SNAPSHOT_UNAVAILABLE


def _is_over(error: errors.PyMongoError, attempt: int) -> bool:
    """Tell whether MongoDB cannot show the state of a past time, and will not either when asked again."""
    if not isinstance(error, errors.OperationFailure):
        return False
    # The other codes mean for a while that a collection or an index is new, and for good that it is newer than that.
    return error.code == _TOO_OLD or (attempt == _MAX_ATTEMPTS and is_snapshot_unavailable(error))


def _is_retryable(error: errors.PyMongoError) -> bool:
    return is_snapshot_unavailable(error) or (isinstance(error, errors.AutoReconnect) and not error.timeout)
