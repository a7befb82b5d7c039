"""Carries changes from the change stream to the log: one task reads, another publishes all that is queued."""

import asyncio
from dataclasses import dataclass
from time import perf_counter
from typing import assert_never

import structlog

from services.common.cursor import Position
from services.common.normalize import Change, End, Unknown, normalize
from services.common.outage import Outage
from services.watcher.faults import Fault
from services.watcher.metrics import Metrics
from services.watcher.publisher import LogUnavailable, Published, Publisher
from services.watcher.stream import Idle, OpenStream, SourceFailed

BATCH_MAX_BYTES = 1 << 20

log = structlog.get_logger("relay")


class GapFound(Exception):
    """The log in Redis ends before what was published last: it must be rebuilt."""


@dataclass(slots=True)
class Progress:
    """How far the log has got in this epoch: ``position`` is published, ``token`` resumes the stream after it."""

    epoch: str
    position: Position
    token: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most changes in one batch, and in the queue; when that is full, reading waits for Redis."""

    batch: int
    queue: int


class Relay:
    """The way from one open change stream to the log."""

    def __init__(
        self, publisher: Publisher, progress: Progress, outage: Outage, bounds: Bounds, metrics: Metrics
    ) -> None:
        self._publisher = publisher
        self._progress = progress
        self._outage = outage
        self._batch = bounds.batch
        self._metrics = metrics
        self._queue: asyncio.Queue[Change | Idle | End | None] = asyncio.Queue(bounds.queue)

    async def run(self, stream: OpenStream, *, one_event: bool = False) -> End | None:
        """Carry changes until the epoch ends, and return its end; with ``one_event``, return None after one change.

        Raise SourceFailed, GapFound or Fenced.
        """
        reader = asyncio.create_task(self._read(stream, one_event=one_event))
        publisher = asyncio.create_task(self._publish())
        try:
            await asyncio.wait({reader, publisher}, return_when=asyncio.FIRST_COMPLETED)
            if not reader.done():
                return publisher.result()
            end = await publisher  # what was read before the stream failed is published still
            reader.result()
            return end
        finally:
            for task in (reader, publisher):
                task.cancel()
            await asyncio.gather(reader, publisher, return_exceptions=True)

    async def _read(self, stream: OpenStream, *, one_event: bool) -> None:
        try:
            await self._read_until_end(stream, one_event=one_event)
        except Exception:
            await self._queue.put(None)  # not where the task is cancelled: nobody may be left to take it
            raise
        await self._queue.put(None)

    async def _read_until_end(self, stream: OpenStream, *, one_event: bool) -> None:
        last, epoch = self._progress.position, self._progress.epoch
        while True:
            event = await stream.next()
            if isinstance(event, Idle):
                await self._queue.put(event)
                continue
            try:
                item = normalize(event, epoch, last)
            except (KeyError, TypeError, ValueError, RecursionError) as error:
                raise SourceFailed(Fault.UNREADABLE, f"a change cannot be put into JSON: {error}") from error
            match item:
                case Change():
                    last = item.position
                    await self._queue.put(item)
                    if not stream.has_more():
                        # Let the publisher hand all that has come at once to Redis before MongoDB is asked for more.
                        await asyncio.sleep(0)
                    if one_event:
                        return
                case End():
                    await self._queue.put(item)
                    return
                case Unknown():
                    log.warning("An event of an unknown kind was passed over", kind=item.kind)
                    await self._queue.put(Idle(item.token))
                case _:
                    assert_never(item)

    async def _publish(self) -> End | None:
        """Publish whatever is queued as one batch: no timer, so a lone change does not wait for company."""
        while True:
            item = await self._queue.get()
            changes: list[Change] = []
            size = 0
            while isinstance(item, Change):
                changes.append(item)
                size += len(item.envelope)
                if len(changes) >= self._batch or size >= BATCH_MAX_BYTES or self._queue.empty():
                    break
                item = self._queue.get_nowait()
            if changes or isinstance(item, Idle):
                await self._send(changes)
            match item:
                case Change():
                    pass
                case Idle():
                    # All before it is published. Were it not kept, the token of a quiet collection would age out of
                    # the oplog.
                    self._progress.token = item.token or self._progress.token
                    self._metrics.idle()
                case End() | None:
                    return item
                case _:
                    assert_never(item)

    async def _send(self, changes: list[Change]) -> None:
        """Publish until Redis takes it: a repetition of what it has already does no harm."""
        while True:
            started = perf_counter()
            try:
                answer = await self._publisher.publish(self._progress.epoch, self._progress.position, changes)
            except LogUnavailable as error:
                await asyncio.sleep(self._outage.failed(error))
                continue
            break
        self._outage.worked()
        if answer is Published.GAP:
            raise GapFound
        if changes:
            self._progress.position, self._progress.token = changes[-1].position, changes[-1].token
            self._metrics.published(len(changes), perf_counter() - started, changes[-1].position)
