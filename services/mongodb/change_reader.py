"""Reads on from a place, and steps over single events that MongoDB cannot deliver or nobody can decode."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Protocol, Self, TypeVar

import structlog

from services.mongodb.change_cursor import Documents
from services.mongodb.faults import FaultKind
from services.mongodb.open_stream import Idle, OpenStream
from services.mongodb.source_failed import SourceFailed

T = TypeVar("T")

log = structlog.get_logger("change-stream")


@dataclass(frozen=True, slots=True)
class StartAfter:
    """Begin with the first event after this resume token."""

    token: str


@dataclass(frozen=True, slots=True)
class StartAt:
    """Begin with the first event of this cluster time (u64) or later."""

    ts: int


Start = StartAfter | StartAt


class Care(Enum):
    """How the next events are read."""

    NONE = "none"  # many at once
    ONE_BY_ONE = "one by one"  # one among them cannot be read, and MongoDB gives all that it sends at once or nothing
    WITHOUT_IMAGES = "without images"  # it is the next one: images are what makes it too large


class OpenWith(Protocol):
    """Opens the stream meanwhile; raise SourceFailed."""

    def __call__(self, start: Start, most: int, *, images: bool) -> AbstractAsyncContextManager[OpenStream]: ...


class ChangeReader:
    """All events from ``start`` on, at most ``most`` at once. One that cannot be read comes without its images.

    Whatever is numbered by it therefore gets the same positions as if every event could be read.
    """

    def __init__(self, open_with: OpenWith, start: Start, most: int) -> None:
        self._open_with = open_with
        self._start = start  # moves on with what is taken: from there the stream is opened anew
        self._most = most
        self._care = Care.NONE
        self._singly = 0  # so many events more are read one by one
        self._stack = AsyncExitStack()
        self._stream: OpenStream | None = None
        self._is_done = False  # with this way to read: the stream is to be opened anew before the next event

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def ask(self) -> None:
        """Let MongoDB find the next events meanwhile, to be taken by `next`."""
        if self._stream is not None and not self._is_done:
            self._stream.ask()

    async def next(self, take: Callable[[Documents], T]) -> T | Idle:
        """Return what ``take`` makes of the events that come next, or Idle, as `OpenStream.next` says."""
        while True:
            stream = await self._open()
            try:
                taken = await stream.next(partial(self._taking, take))
            except SourceFailed as error:
                self._be_careful(error)
                continue
            if isinstance(taken, Idle):
                self._start = StartAfter(taken.token)
                if self._care is Care.ONE_BY_ONE:
                    self._go_on(Care.NONE)
            return taken

    def _taking(self, take: Callable[[Documents], T], events: Documents) -> T:
        self._start = StartAfter(events[-1]["_id"]["_data"])
        self._singly -= 1
        if self._care is Care.WITHOUT_IMAGES:
            self._go_on(Care.ONE_BY_ONE)
        elif self._care is Care.ONE_BY_ONE and self._singly <= 0:
            self._go_on(Care.NONE)
        return take(events)

    def _be_careful(self, error: SourceFailed) -> None:
        """Read with more care from now on; raise the error where that cannot help."""
        if error.fault is not FaultKind.UNREADABLE or self._care is Care.WITHOUT_IMAGES:
            raise error
        if self._care is Care.NONE and self._most > 1:
            self._singly = self._most
            self._go_on(Care.ONE_BY_ONE)
        else:
            log.warning(
                "A change is too large to be delivered or cannot be decoded, clients are told to fetch the order",
                error=str(error)[:300],
            )
            self._go_on(Care.WITHOUT_IMAGES)

    def _go_on(self, care: Care) -> None:
        self._care = care
        self._is_done = True

    async def _open(self) -> OpenStream:
        if self._is_done:
            self._stream, self._is_done = None, False
            await self._stack.aclose()
        while self._stream is None:
            most = self._most if self._care is Care.NONE else 1
            images = self._care is not Care.WITHOUT_IMAGES
            try:
                self._stream = await self._stack.enter_async_context(self._open_with(self._start, most, images=images))
            except SourceFailed as error:
                self._be_careful(error)
                self._is_done = False
        return self._stream
