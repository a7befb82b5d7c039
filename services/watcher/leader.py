"""The work of the watcher that holds the lease: start at the right position, relay changes, recover from failures."""

import asyncio
import secrets
from contextlib import suppress
from dataclasses import dataclass
from typing import assert_never

import structlog

from services.common.cursor import Position
from services.common.dependency_health import DependencyHealth
from services.common.error_text import error_text
from services.common.normalize import End, EpochReason, token_time
from services.common.numbering import Numbering
from services.common.tasks import Tasks, raise_if_cancelled
from services.common.visible_fields import VisibleFields
from services.mongodb.change_reader import StartAfter, StartAt, StartPoint
from services.mongodb.change_stream import ChangeStream
from services.mongodb.deployment import Deployment
from services.mongodb.faults import FaultKind
from services.mongodb.source_failed import SourceFailed
from services.watcher.metrics import WatcherDependency, WatcherMetrics
from services.watcher.oplog import OplogWindow
from services.watcher.publisher import Fenced, Publisher, PublishFailed
from services.watcher.relay import GapFound, Progress, Relay, RelayBounds
from services.watcher.start import Checkpoint, Continue, NewEpoch, Rebuild, Start, decide
from services.watcher.state import DatabaseRestored, LeaseLost, StateUnavailable, StreamState

SAVE_SECONDS = 1.0

log = structlog.get_logger("watcher")


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that a leader works with."""

    stream: ChangeStream
    state: StreamState
    bounds: RelayBounds
    visible: VisibleFields
    window: int
    metrics: WatcherMetrics
    mongodb: DependencyHealth
    redis: DependencyHealth
    oplog: OplogWindow


class Leader:
    """One term of leadership."""

    def __init__(self, parts: Parts, publisher: Publisher, term: int) -> None:
        self._parts = parts
        self._publisher = publisher
        self._term = term
        self._progress: Progress | None = None
        self._deployment = Deployment(None, 0)
        self._saved: Checkpoint | None = None
        self._restored = False  # the database was, and its new epoch has not begun yet
        self._is_stuck = False  # at a change that cannot be read
        self._saving = asyncio.Lock()  # or the progress of an old epoch could overwrite that of the new one

    async def lead(self) -> None:
        """Relay changes until cancelled; raise Fenced or LeaseLost when the term is over."""
        try:
            async with Tasks(Fenced, LeaseLost) as tasks:
                tasks.keep("following the change stream", self._follow_forever())
                tasks.keep("saving the checkpoint", self._save_periodically())
                tasks.keep("watching the oplog", self._parts.oplog.watch(self.published_until))
                await tasks.forever()
        finally:
            # If this fails, the next leader publishes the unsaved changes again, and Redis refuses the duplicates.
            with suppress(StateUnavailable, LeaseLost):
                await self._save()

    def published_until(self) -> int | None:
        """Return the cluster time (u64) up to which all changes are published, None where that is not known."""
        return None if self._progress is None else token_time(self._progress.token)

    async def _follow_forever(self) -> None:
        while True:
            raise_if_cancelled()
            try:
                await self._follow_once()
            except GapFound:
                log.warning("Redis has lost changes, the log will be rebuilt")
            except SourceFailed as error:
                await self._source_failed(error)
            except StateUnavailable as error:
                await self._back_off(WatcherDependency.MONGODB, error)
            except PublishFailed as error:
                await self._back_off(WatcherDependency.REDIS, error)

    async def _source_failed(self, error: SourceFailed) -> None:
        match error.fault:
            case FaultKind.RETRY | FaultKind.NO_REPLICA_SET:
                await self._back_off(WatcherDependency.MONGODB, error)
            case FaultKind.UNREADABLE:
                # Not even without its documents: its place in the stream is unknown. To wait would be for ever.
                log.warning("A change cannot be read at all, history goes on after it", error=error_text(error)[:300])
                self._is_stuck = True
                await self._back_off(WatcherDependency.MONGODB, error)
            case FaultKind.HISTORY_LOST | FaultKind.TOKEN_UNKNOWN if (saved := self._rebuild_target()) is not None:
                log.warning("The oplog no longer holds the changes that Redis lost, resuming from the checkpoint")
                await self._publisher.restart_log(saved.epoch, None, saved.position, saved.token)
            case FaultKind.HISTORY_LOST:
                await self._new_epoch(EpochReason.HISTORY_LOST)
            case FaultKind.TOKEN_UNKNOWN:
                await self._new_epoch(EpochReason.TOKEN_UNKNOWN)

    def _rebuild_target(self) -> Checkpoint | None:
        """Return the checkpoint while a rebuild of the log, which starts before it, has not reached it yet."""
        saved, progress = self._saved, self._progress
        if saved is None or progress is None or progress.epoch != saved.epoch or progress.position >= saved.position:
            return None
        # No change has the first position of an epoch: on a quiet stream only the token shows that it was passed.
        return None if (token_time(progress.token) or 0) > saved.position.ts else saved

    async def _back_off(self, part: WatcherDependency, error: Exception) -> None:
        self._parts.metrics.failed(part)
        health = self._parts.mongodb if part is WatcherDependency.MONGODB else self._parts.redis
        await asyncio.sleep(health.failed(error))

    async def _follow_once(self) -> None:
        """Decide where to start, and relay changes from there."""
        parts = self._parts
        self._deployment = await parts.stream.deployment()
        try:
            self._saved = await parts.state.load()
        except DatabaseRestored:
            self._restored = True
        head = await self._publisher.claim()
        parts.redis.succeeded()
        if self._is_stuck and not self._restored:
            self._is_stuck = False
            lost = EpochReason.HISTORY_LOST
            await self._new_epoch(lost, End(lost, "", self._deployment.now))
            return
        start: Start = NewEpoch(EpochReason.DATABASE_REPLACED)
        if not self._restored:
            start = decide(self._saved, head, self._deployment, parts.stream.pipeline, parts.visible, parts.window)
        match start:
            case Continue():
                # Only the first position of an epoch has no token: it stands at the end of a cluster time.
                after = StartAfter(start.token) if start.token else StartAt(start.position.ts + 1)
                await self._relay(Progress(start.epoch, start.position, start.token), after, resumes=True)
            case Rebuild():
                await self._rebuild(start)
            case NewEpoch():
                await self._new_epoch(start.reason)
            case _:
                assert_never(start)

    async def _rebuild(self, start: Rebuild) -> None:
        floor = Position.before(start.since)
        log.info("Rebuilding the log", since=start.since, epoch=start.epoch)
        self._parts.metrics.rebuilt()
        await self._publisher.restart_log(start.epoch, None, floor, "")
        await self._relay(Progress(start.epoch, floor, ""), StartAt(start.since))

    async def _new_epoch(self, reason: EpochReason, end: End | None = None) -> None:
        """Begin a new epoch after ``end``, or now.

        It is saved to MongoDB first: if we die before Redis has it, the next start finds the log of another epoch and
        rebuilds it.
        """
        epoch = secrets.token_hex(4) + self._parts.visible.mark
        floor = Position.end_of(end.ts) if end else Position.before(self._deployment.now)
        token = end.token if end else ""
        if reason is EpochReason.FIRST_START:  # of clients that have seen changes there are none
            log.info("The first epoch begins", reason=reason.value, epoch=epoch)
        else:
            log.warning("A new epoch begins, all clients must resync", reason=reason.value, epoch=epoch)
        self._parts.metrics.epoch_began(reason)
        async with self._saving:
            self._progress = None
            self._saved = Checkpoint(epoch, floor, token, self._deployment.replica_set_id, self._parts.stream.pipeline)
            await self._parts.state.save(self._term, self._saved)
        await self._publisher.restart_log(epoch, reason, floor, token)
        self._restored = False

    async def _relay(self, progress: Progress, start: StartPoint, *, resumes: bool = False) -> None:
        """Relay changes from ``start``, the position of ``progress``, until the epoch ends."""
        parts = self._parts
        self._progress = progress
        await parts.stream.kind.check()  # logs a collection whose stream would stay silent without any error
        async with parts.stream.open(start, parts.bounds.read) as stream:
            raise_if_cancelled()  # or a lost term, whose cancellation the driver swallowed, would resume once more
            parts.mongodb.succeeded()
            if resumes:  # only now: an attempt to open the stream may fail, and is repeated
                log.info(
                    "Resumed after the last published change", position=str(progress.position), epoch=progress.epoch
                )
            numbering = Numbering(progress.epoch, progress.position, parts.visible)
            relay = Relay(self._publisher, progress, numbering, parts.redis, parts.bounds, parts.metrics)
            end = await relay.run(stream)
        await self._end_epoch(end, progress)

    async def _end_epoch(self, end: End, progress: Progress) -> None:
        saved = self._rebuild_target()
        if saved is not None and end.ts <= saved.position.ts:
            # The rebuild started before this epoch: the changes read so far belong to the previous one.
            await self._publisher.restart_log(progress.epoch, None, Position.end_of(end.ts), end.token)
        else:
            await self._new_epoch(end.reason, end)

    async def _save_periodically(self) -> None:
        while True:
            raise_if_cancelled()
            await asyncio.sleep(SAVE_SECONDS)
            try:
                await self._save()
            except StateUnavailable as error:
                self._parts.metrics.failed(WatcherDependency.MONGODB)
                self._parts.mongodb.failed(error)

    async def _save(self) -> None:
        async with self._saving:
            progress = self._progress
            if progress is None or not progress.token or self._rebuild_target() is not None:
                return
            here, pipeline = self._deployment.replica_set_id, self._parts.stream.pipeline
            checkpoint = Checkpoint(progress.epoch, progress.position, progress.token, here, pipeline)
            if checkpoint == self._saved or await self._check_restored():
                return
            await self._parts.state.save(self._term, checkpoint)
            self._saved = checkpoint

    async def _check_restored(self) -> bool:
        """Check whether the database was restored, before a save would hide that for good.

        The stream breaks then as well, and a new epoch follows.
        """
        try:
            await self._parts.state.load()
        except DatabaseRestored:
            self._restored = True
        return self._restored
