"""One open change stream: its events, its heartbeat, and the conditions under which it must be reopened."""

from collections.abc import Awaitable, Callable
from functools import partial
from time import monotonic
from typing import NamedTuple, TypeVar

from bson.errors import InvalidBSON
from pymongo.errors import PyMongoError

from services.common.error_text import error_text
from services.common.normalize import DECIDING
from services.mongodb.change_cursor import ChangeCursor, Documents
from services.mongodb.faults import FaultKind
from services.mongodb.primary import Primary
from services.mongodb.source_failed import SourceFailed, source_failed

T = TypeVar("T")

_DECIDING_BEFORE = DECIDING["fullDocumentBeforeChange"]


class Idle(NamedTuple):
    """No change for now; the stream can resume after ``token``."""

    token: str


class OpenStream:
    """Reads ``cursor`` until another primary is elected, or the resume token has stood still for ``stall_seconds``."""

    def __init__(
        self,
        cursor: ChangeCursor,
        primary: Primary,
        stall_seconds: float,
        *,
        recheck_images: Callable[[], Awaitable[bool]] | None,
    ) -> None:
        self._cursor = cursor
        # Returns whether the collection keeps images now. None where that need not be checked: nothing is looked up.
        self._recheck_images = recheck_images
        self._primary = primary
        self._elections = primary.elections
        self._stall_seconds = stall_seconds
        self._token = ""
        self._moved_at = monotonic()

    def prefetch(self) -> None:
        """Request the next events ahead of `next`."""
        self._cursor.prefetch()

    async def next(self, consume: Callable[[Documents], T]) -> T | Idle:
        """Return ``consume``'s result for the next batch of events, or Idle when there is none at the moment.

        ``consume`` is called as soon as they arrive, unless MongoDB must be queried about them first. Raise
        SourceFailed, or its own error. Never put a timeout around this: a cancelled read closes the stream, which is
        then silent for ever.
        """
        if self._recheck_images is None:
            result = await self._read(consume)
        else:
            events = await self._read(_identity)
            if events and any(event.get(_DECIDING_BEFORE) is not None for event in events):
                await self._check_images(self._recheck_images)
            result = consume(events) if events else None
        if result is not None:
            return result
        if not self._cursor.is_open:
            raise SourceFailed(FaultKind.RETRY, "the change stream was closed")
        if self._primary.elections != self._elections:
            # An isolated old primary may keep answering, with a stream that shows no changes any more.
            raise SourceFailed(FaultKind.RETRY, "another primary was elected")
        return Idle(self._check_stall())

    async def _read(self, consume: Callable[[Documents], T]) -> T | None:
        try:
            return await self._cursor.next_batch(partial(self._note_progress, consume))
        except PyMongoError as error:
            raise source_failed(error) from error
        except InvalidBSON as error:
            raise SourceFailed(FaultKind.UNREADABLE, error_text(error)) from error

    def _note_progress(self, consume: Callable[[Documents], T], events: Documents) -> T | None:
        if not events:
            return None
        self._moved_at = monotonic()
        return consume(events)

    async def _check_images(self, recheck_images: Callable[[], Awaitable[bool]]) -> None:
        """Reopen if the collection keeps images now, which it did not when the stream was opened.

        It may not have existed then. The mode of an open stream is fixed: this one would keep showing later states.
        """
        if await recheck_images():
            raise SourceFailed(FaultKind.RETRY, "the collection keeps images now, the stream is reopened")
        self._recheck_images = None  # it does not: this image dates from when it did

    def _check_stall(self) -> str:
        """Return the token; one that has stopped moving means an isolated primary, which will never show a change.

        A healthy primary moves the token at least every ten seconds by its own no-op writes.
        """
        token = self._cursor.token
        if token != self._token:
            self._token, self._moved_at = token, monotonic()
        elif monotonic() - self._moved_at > self._stall_seconds:
            raise SourceFailed(FaultKind.RETRY, f"the resume token has not moved for {self._stall_seconds:.0f} s")
        return token


def _identity(events: Documents) -> Documents:
    return events
