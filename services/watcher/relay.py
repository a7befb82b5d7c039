"""Relays changes from the change stream to the log, and encodes their envelopes on the way."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple, assert_never

import structlog

from services.common.cursor import Position
from services.common.dependency_health import DependencyHealth
from services.common.error_text import error_text
from services.common.normalize import Change, End, Unknown
from services.common.numbering import Numbering, UnreadableEvent
from services.common.tasks import raise_if_cancelled
from services.mongodb.change_cursor import Documents
from services.mongodb.change_reader import ChangeReader
from services.mongodb.faults import FaultKind
from services.mongodb.open_stream import Idle
from services.mongodb.source_failed import SourceFailed
from services.watcher.metrics import WatcherDependency, WatcherMetrics
from services.watcher.publisher import Published, Publisher, PublishFailed

BATCH_MAX_BYTES = 1 << 20

log = structlog.get_logger("relay")


class GapFound(Exception):
    """The log in Redis ends before the last published change: it must be rebuilt."""


@dataclass(slots=True)
class Progress:
    """The progress in this epoch: everything up to ``position`` is published, ``token`` resumes the stream after it."""

    epoch: str
    position: Position
    token: str


@dataclass(frozen=True, slots=True)
class RelayBounds:
    """The most changes in one batch, and the most read ahead of Redis; beyond, backpressure stops the reading."""

    batch: int
    ahead: int

    @property
    def read(self) -> int:
        """The most changes per read: one such list is being encoded while the next is in flight."""
        return max(1, self.ahead // 2)


class _Received(NamedTuple):
    """One read: its ``batches`` that are not in flight yet."""

    batches: Iterator[Sequence[Change] | Idle]
    has_backlog: bool


class Relay:
    """Relays one open change stream to the log, with at most one batch in flight to Redis.

    A single change is sent before the waiting task wakes up: that wake-up costs more than reading the change.
    """

    def __init__(
        self,
        publisher: Publisher,
        progress: Progress,
        numbering: Numbering,
        health: DependencyHealth,
        bounds: RelayBounds,
        metrics: WatcherMetrics,
    ) -> None:
        self._publisher = publisher
        self._progress = progress
        self._health = health
        self._bounds = bounds
        self._metrics = metrics
        self._numbering = numbering
        self._end: End | None = None
        self._in_flight: Sequence[Change] | Idle | None = None
        self._sent_at = 0.0

    async def run(self, stream: ChangeReader) -> End:
        """Relay changes until the epoch ends, and return its end; raise SourceFailed, GapFound or Fenced."""
        try:
            end = await self._relay(stream)
        except (SourceFailed, UnreadableEvent) as error:
            await self._confirm()  # the changes read before the failure
            if isinstance(error, UnreadableEvent):
                raise SourceFailed(FaultKind.UNREADABLE, error_text(error)) from error
            raise
        await self._confirm()
        return end

    async def _relay(self, stream: ChangeReader) -> End:
        """Relay changes until the epoch ends, prefetching the next read.

        In a backlog, prefetch before the last read is encoded and published. Otherwise only once the batch is in
        flight: prefetching earlier delays that batch, and competes with the fan-out for CPU.
        """

        def send_first(events: Documents) -> _Received:
            has_backlog = len(events) >= self._bounds.read  # a full read: there is probably more
            self._metrics.read_ahead += len(events)
            if has_backlog:
                stream.prefetch()
            batches = self._in_batches(events)
            if self._in_flight is None and (first := next(batches, None)) is not None:
                self._send(first)
            return _Received(batches, has_backlog)

        while True:
            raise_if_cancelled()
            received = await stream.next(send_first)
            if isinstance(received, Idle):
                await self._publish(received)
                await self._confirm()
                continue
            for batch in received.batches:
                await self._publish(batch)
            if self._end is not None:
                return self._end
            if not received.has_backlog:
                stream.prefetch()
                await self._confirm()

    def _in_batches(self, events: Documents) -> Iterator[Sequence[Change] | Idle]:
        """Yield the changes in batches as large as allowed, up to the end of the epoch."""
        changes: list[Change] = []
        size = 0
        try:
            for item in self._normalized(events):
                if isinstance(item, Change):
                    changes.append(item)
                    size += len(item.envelope)
                    if len(changes) < self._bounds.batch and size < BATCH_MAX_BYTES:
                        continue
                if changes:
                    yield changes
                    changes, size = [], 0
                if isinstance(item, Idle):
                    yield item
        except UnreadableEvent:
            if changes:
                yield changes
            raise
        if changes:
            yield changes

    def _normalized(self, events: Documents) -> Iterator[Change | Idle]:
        for event in events:
            item = self._numbering.of(event)
            match item:
                case Change():
                    yield item
                case End():
                    self._end = item
                    return
                case Unknown():
                    log.warning("An event of an unknown kind was skipped", kind=item.kind)
                    yield Idle(item.token)
                case _:
                    assert_never(item)

    async def _publish(self, batch: Sequence[Change] | Idle) -> None:
        """Send the batch once the previous one is confirmed; the next can be encoded while this one is in flight."""
        await self._confirm()
        self._send(batch)

    def _send(self, batch: Sequence[Change] | Idle) -> None:
        self._in_flight = batch
        self._sent_at = perf_counter()
        changes = () if isinstance(batch, Idle) else batch
        self._publisher.send(self._progress.epoch, self._progress.position, changes)

    async def _confirm(self) -> None:
        """Wait until Redis has the batch in flight, resending it until then; duplicates are refused."""
        batch = self._in_flight
        if batch is None:
            return
        while True:
            raise_if_cancelled()
            try:
                answer = await self._publisher.answer()
                break
            except PublishFailed as error:
                self._metrics.failed(WatcherDependency.REDIS)
                await asyncio.sleep(self._health.failed(error))
            self._send(batch)
        self._health.succeeded()
        if answer is Published.GAP:
            raise GapFound
        self._in_flight = None
        self._metrics.read_ahead = max(0, self._metrics.read_ahead - len(batch))
        if isinstance(batch, Idle):
            # Everything before it is published; unsaved, the token of a quiet collection would age out of the oplog.
            self._progress.token = batch.token or self._progress.token
            self._metrics.idle()
        else:
            self._progress.position, self._progress.token = batch[-1].position, batch[-1].token
            self._metrics.published(len(batch), perf_counter() - self._sent_at, batch[-1].position)
