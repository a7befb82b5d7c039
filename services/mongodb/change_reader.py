"""Reads from a starting point, and steps over single events that cannot be delivered or decoded."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Protocol, Self, TypeVar

import structlog

from services.common.error_text import error_text
from services.mongodb.change_cursor import Documents
from services.mongodb.faults import FaultKind
from services.mongodb.open_stream import Idle, OpenStream
from services.mongodb.source_failed import SourceFailed

T = TypeVar("T")

log = structlog.get_logger("change-stream")


@dataclass(frozen=True, slots=True)
class StartAfter:
    """Start with the first event after this resume token."""

    token: str


@dataclass(frozen=True, slots=True)
class StartAt:
    """Start with the first event at or after this cluster time (u64)."""

    ts: int


StartPoint = StartAfter | StartAt


class ReadMode(Enum):
    """How the next events are read."""

    BATCHED = "batched"  # many at once
    ONE_BY_ONE = "one by one"  # one of the batch is unreadable, and MongoDB delivers a batch entirely or not at all
    FIELDS_ONLY = "fields only"  # the next event is the unreadable one: its images make it too large
    WITHOUT_IMAGES = "without images"  # not even with these few fields of its images can it be read


class Detail(Enum):
    """What comes with an event of the documents before and after it."""

    IMAGES = "images"
    FIELDS = "fields"  # only the fields that decide filters
    NOTHING = "nothing"


_DETAIL = {ReadMode.FIELDS_ONLY: Detail.FIELDS, ReadMode.WITHOUT_IMAGES: Detail.NOTHING}


class OpenWith(Protocol):
    """Opens the stream; raise SourceFailed."""

    def __call__(
        self, start: StartPoint, batch_size: int, *, detail: Detail
    ) -> AbstractAsyncContextManager[OpenStream]: ...


class ChangeReader:
    """All events from ``start`` on, at most ``batch_size`` at once; an unreadable event comes without its documents.

    Positions are therefore numbered as if every event could be read.
    """

    def __init__(self, open_with: OpenWith, start: StartPoint, batch_size: int) -> None:
        self._open_with = open_with
        self._start = start  # advances with each batch: the stream is reopened from there
        self._batch_size = batch_size
        self._mode = ReadMode.BATCHED
        self._left_one_by_one = 0  # events that are still to be read one by one
        self._stack = AsyncExitStack()
        self._stream: OpenStream | None = None
        self._must_reopen = False  # because the mode has changed

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def prefetch(self) -> None:
        """Request the next events ahead of `next`."""
        if self._stream is not None and not self._must_reopen:
            self._stream.prefetch()

    async def next(self, consume: Callable[[Documents], T]) -> T | Idle:
        """Return ``consume``'s result for the next events, or Idle; see `OpenStream.next`."""
        while True:
            stream = await self._open()
            try:
                result = await stream.next(partial(self._consume_and_advance, consume))
            except SourceFailed as error:
                self._degrade(error)
                continue
            if isinstance(result, Idle):
                self._start = StartAfter(result.token)
                if self._mode is ReadMode.ONE_BY_ONE:
                    self._switch(ReadMode.BATCHED)
            return result

    def _consume_and_advance(self, consume: Callable[[Documents], T], events: Documents) -> T:
        self._start = StartAfter(events[-1]["_id"]["_data"])
        self._left_one_by_one -= 1
        if self._mode in _DETAIL:
            self._switch(ReadMode.ONE_BY_ONE)
        elif self._mode is ReadMode.ONE_BY_ONE and self._left_one_by_one <= 0:
            self._switch(ReadMode.BATCHED)
        return consume(events)

    def _degrade(self, error: SourceFailed) -> None:
        """Switch to the next safer mode; raise the error if there is none or it would not help."""
        if error.fault is not FaultKind.UNREADABLE or self._mode is ReadMode.WITHOUT_IMAGES:
            raise error
        if self._mode is ReadMode.BATCHED and self._batch_size > 1:
            self._left_one_by_one = self._batch_size
            self._switch(ReadMode.ONE_BY_ONE)
        elif self._mode is ReadMode.FIELDS_ONLY:
            self._switch(ReadMode.WITHOUT_IMAGES)
        else:
            log.warning(
                "A change is too large to be delivered or cannot be decoded, clients must fetch the order",
                error=error_text(error)[:300],
            )
            self._switch(ReadMode.FIELDS_ONLY)

    def _switch(self, mode: ReadMode) -> None:
        self._mode = mode
        self._must_reopen = True

    async def _open(self) -> OpenStream:
        if self._must_reopen:
            self._stream, self._must_reopen = None, False
            await self._stack.aclose()
        while self._stream is None:
            batch_size = self._batch_size if self._mode is ReadMode.BATCHED else 1
            detail = _DETAIL.get(self._mode, Detail.IMAGES)
            try:
                self._stream = await self._stack.enter_async_context(
                    self._open_with(self._start, batch_size, detail=detail)
                )
            except SourceFailed as error:
                self._degrade(error)
                self._must_reopen = False
        return self._stream
