"""Reads changes that Redis no longer holds from MongoDB's oplog, with the same positions as before."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from time import monotonic
from typing import Any, NamedTuple

from pymongo.asynchronous.database import AsyncDatabase

from services.common.cursor import Position
from services.common.error_text import error_text
from services.common.fair_turns import INTERNAL, FairTurns, Pace
from services.common.normalize import Change, End, token_time
from services.common.numbering import Numbering, UnreadableEvent, replay_time
from services.common.tasks import raise_if_cancelled
from services.common.visible_fields import ALL_FIELDS, VisibleFields
from services.gateway.event import Event
from services.gateway.oplog_reach import OplogReach
from services.mongodb.change_cursor import Documents
from services.mongodb.change_reader import StartAt
from services.mongodb.change_stream import ChangeStream, Images
from services.mongodb.command_cursor import command_cursor
from services.mongodb.faults import FaultKind
from services.mongodb.open_stream import Idle
from services.mongodb.primary import Primary
from services.mongodb.raw_events import decoded
from services.mongodb.source_failed import SourceFailed

BATCH_EVENTS = 50  # for all of which a client waits; each is decoded in a step of its own
# Pause as long as MongoDB took, so that replays use half of its time at most; not for INTERNAL, when all clients wait.
_LONGEST_REST = 0.05
PAGE_BYTES = 256 * 1024
AWAIT_MS = 100
STALL_SECONDS = 20.0

_ASK_SECONDS = 4.0  # to find out how far back the oplog goes; after that, the replay itself finds out
_ASK_PAUSE = 0.2  # between two such queries: each makes MongoDB open a change stream


class HistoryPage(NamedTuple):
    """Some events (or none), and the position up to which the pages so far are complete."""

    events: list[Event]
    upto: Position


class HistoryLost(Exception):
    """The oplog no longer reaches back that far, or the collection's history broke since then."""


class HistoryUnavailable(Exception):
    """MongoDB cannot be queried now; a retry may help."""


class History:
    """The changes of one collection, from any time that the oplog still covers."""

    def __init__(
        self,
        database: "AsyncDatabase[Any]",
        collection: str,
        primary: Primary,
        turns: FairTurns,
        visible: VisibleFields = ALL_FIELDS,
    ) -> None:
        # The driver's public cursor: nothing here is hot enough to justify the faster private one.
        self._stream = ChangeStream(
            database,
            collection,
            primary,
            STALL_SECONDS,
            command_cursor,
            await_ms=AWAIT_MS,
            visible=visible,
            is_raw=True,
        )
        self._turns = turns
        self._visible = visible
        self._reach = OplogReach()
        self._asking = asyncio.Lock()

    async def reaches(self, position: Position) -> bool:
        """Tell whether every change after ``position`` can be read; raise HistoryUnavailable where that is unknown.

        A crowd of reconnecting clients costs one query: for a while, an answer holds for all older or all younger
        positions too.
        """
        try:
            async with asyncio.timeout(_ASK_SECONDS), self._asking:
                known = self._reach.of(position)
                return await self._ask(position) if known is None else known
        except TimeoutError as error:
            raise HistoryUnavailable("MongoDB did not report in time how far back the oplog goes") from error

    async def _ask(self, position: Position) -> bool:
        await asyncio.sleep(self._reach.pause_before_asking(_ASK_PAUSE))
        with history_errors():
            found = await self._stream.reaches(replay_time(position))
        raise_if_cancelled()
        self._reach.note(position, reached=found)
        return found

    async def after(self, position: Position, epoch: str, account: str) -> AsyncGenerator[HistoryPage]:
        """Yield the events that follow ``position``, page by page; raise HistoryLost or HistoryUnavailable.

        They carry stored images only: without one there is no data, and the client fetches the order. The time for
        decoding them counts against ``account``.

        Where there is nothing more to read, the token tells up to when. The oplog entry of exactly that time has then
        been read completely, unless it is the start time; with several shards, one may have more of that time.
        """
        numbering = Numbering.replaying(epoch, position, self._visible)
        pace = Pace(self._turns, account)
        start = replay_time(position)
        try:
            with history_errors():
                is_merged = await self._stream.is_merged()
                async with self._stream.open(StartAt(start), BATCH_EVENTS, Images.STORED) as stream:
                    self._reach.note(position, reached=True)
                    while True:
                        raise_if_cancelled()
                        asked_at = monotonic()
                        events = await stream.next(_undecoded)
                        if isinstance(events, Idle):
                            ts = token_time(events.token) or 0
                            was_read = not is_merged and (ts > start or ts == numbering.last.ts)
                            idle = Position.end_of(ts) if was_read else Position.before(max(ts, 1))
                            yield HistoryPage([], max(numbering.last, idle))
                            continue
                        answered_at = monotonic()
                        await pace.begin()
                        async with aclosing(_pages(events, position, numbering, pace)) as pages:
                            async for page in pages:
                                yield HistoryPage(page, numbering.last)
                        if account != INTERNAL:
                            await asyncio.sleep(min(answered_at - asked_at, _LONGEST_REST))
        except HistoryLost:
            self._reach.note(position, reached=False)
            raise


async def _pages(events: Documents, after: Position, numbering: Numbering, pace: Pace) -> AsyncGenerator[list[Event]]:
    """Yield the events that follow ``after``, in bounded pages."""
    page: list[Event] = []
    size = 0
    for event in events:
        item = numbering.of(decoded(event))
        if isinstance(item, End):
            raise HistoryLost(item.reason)
        if isinstance(item, Change) and item.position > after:
            page.append(Event(item.envelope, item.images))
            size += len(item.envelope)
        await pace.step()
        if size >= PAGE_BYTES:
            yield page
            await pace.begin()  # for the reader may have waited
            page, size = [], 0
    yield page


def _undecoded(events: Documents) -> Documents:
    return events


@contextmanager
def history_errors() -> Iterator[None]:
    """Raise HistoryUnavailable or HistoryLost for what the oplog's reader raises."""
    try:
        yield
    except SourceFailed as error:
        # Errors that a retry does not cure mean that the history is lost: the clients must resync.
        raise (HistoryUnavailable if error.fault is FaultKind.RETRY else HistoryLost)(error_text(error)) from error
    except UnreadableEvent as error:
        raise HistoryLost(error_text(error)) from error
