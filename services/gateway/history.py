"""Reads changes that Redis has forgotten from MongoDB's oplog, with the same positions as they had before."""

import asyncio
from collections.abc import AsyncGenerator
from time import monotonic
from typing import Any, NamedTuple

from bson.errors import InvalidBSON
from pymongo.asynchronous.change_stream import AsyncChangeStream
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure, PyMongoError

from services.common.cursor import Position, timestamp
from services.common.documents import CODEC
from services.common.normalize import FIELDS, IMAGES, Change, End, matching, normalize, token_time
from services.common.tasks import raise_if_cancelled
from services.gateway.event import Event
from services.mongodb.faults import explain

PAGE = 200
_HISTORY_LOST = 286  # ChangeStreamHistoryLost
_TRUST_SECONDS = 5.0  # the oplog's end moves, so what it reached a moment ago is not asked again, but only for a moment


class Reading(NamedTuple):
    """Some events (or none), and the position up to which nothing is left out by now."""

    events: list[Event]
    upto: Position


class HistoryLost(Exception):
    """The oplog no longer reaches back so far, or the collection's history broke since."""


class HistoryUnavailable(Exception):
    """MongoDB cannot be asked now; trying again later may help."""


class History:
    """The changes of one collection, from any time that the oplog still holds."""

    def __init__(self, database: "AsyncDatabase[Any]", collection: str) -> None:
        self._database = database.with_options(codec_options=CODEC)
        self._match = matching(collection)
        self._asking = asyncio.Lock()
        self._reached: Position | None = None
        self._reached_at = 0.0

    async def reaches(self, position: Position) -> bool:
        """Tell whether every change after ``position`` can be read; raise HistoryUnavailable."""
        async with self._asking:  # a crowd that comes back asks once
            fresh = monotonic() - self._reached_at < _TRUST_SECONDS
            if fresh and self._reached is not None and self._reached <= position:
                return True
            try:
                await (await self._open(position)).close()
            except HistoryLost:
                return False
            self._reached, self._reached_at = position, monotonic()
            return True

    async def after(self, position: Position, epoch: str) -> AsyncGenerator[Reading]:
        """Yield the events that follow ``position``, page by page; raise HistoryLost or HistoryUnavailable."""
        stream = await self._open(position)
        async with stream:
            # All of that cluster time comes again, so that the ordinals are counted as they were.
            last = Position.before(position.ts)
            page: list[Event] = []
            while True:
                with _translated():
                    event = await stream.try_next()
                raise_if_cancelled()
                if event is not None:
                    item = normalize(event, epoch, last)
                    if isinstance(item, End):
                        raise HistoryLost(item.reason)
                    if isinstance(item, Change):
                        last = item.position
                        if last > position:
                            page.append(Event(item.envelope, item.images))
                elif not stream.alive:
                    raise HistoryUnavailable("the change stream was closed")
                if event is None:
                    yield Reading(page, max(last, _idle_position(stream)))
                    page = []
                elif len(page) >= PAGE:
                    yield Reading(page, last)
                    page = []

    async def _open(self, position: Position) -> "AsyncChangeStream[dict[str, Any]]":
        with _translated():
            return await self._database.watch(
                [self._match, {"$project": dict.fromkeys(FIELDS + IMAGES, 1)}],
                start_at_operation_time=timestamp(position.ts),
                full_document="whenAvailable",  # without an image there is no data, and the client fetches the order
                full_document_before_change="whenAvailable",
                max_await_time_ms=100,
            )


def _idle_position(stream: "AsyncChangeStream[dict[str, Any]]") -> Position:
    """An idle token comes before every event of its time."""
    token = stream.resume_token
    ts = None if token is None else token_time(token["_data"])
    return Position(0, 0) if ts is None else Position.before(ts)


class _translated:  # noqa: N801 - used as a keyword
    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OperationFailure) and error.code == _HISTORY_LOST:
            raise HistoryLost(str(error)) from error
        if isinstance(error, InvalidBSON):
            raise HistoryLost(str(error)) from error
        if isinstance(error, PyMongoError):
            raise HistoryUnavailable(explain(str(error))) from error
