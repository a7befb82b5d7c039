"""One open change stream: its events, its signs of life, and the moments at which it must be opened anew."""

from collections.abc import Awaitable, Callable
from functools import partial
from time import monotonic
from typing import NamedTuple, TypeVar

from bson.errors import InvalidBSON
from pymongo.errors import PyMongoError

from services.mongodb.change_cursor import ChangeCursor, Documents
from services.mongodb.faults import FaultKind
from services.mongodb.primary import Primary
from services.mongodb.source_failed import SourceFailed, source_failed

T = TypeVar("T")


class Idle(NamedTuple):
    """Nothing more has happened; the stream can resume after ``token``."""

    token: str


class OpenStream:
    """Reads ``cursor`` until another primary is elected, or the resume token has stood still for ``stall_seconds``."""

    def __init__(
        self,
        cursor: ChangeCursor,
        primary: Primary,
        stall_seconds: float,
        *,
        keeps_images: Callable[[], Awaitable[bool]] | None,
    ) -> None:
        self._cursor = cursor
        self._keeps_images = keeps_images  # to be asked where documents are looked up
        self._primary = primary
        self._elections = primary.elections
        self._stall_seconds = stall_seconds
        self._token = ""
        self._moved_at = monotonic()

    def prefetch(self) -> None:
        """Let MongoDB find the next events meanwhile, to be taken by `next`."""
        self._cursor.prefetch()

    async def next(self, consume: Callable[[Documents], T]) -> T | Idle:
        """Return what ``consume`` makes of all events that MongoDB sends at once, or Idle when there is none just now.

        It is called as soon as they are there, where nothing needs to be asked about them first. Raise SourceFailed, or
        what it raises. Never put a timeout around this: a cancelled read closes the stream, which is then silent for
        ever.
        """
        if self._keeps_images is None:
            taken = await self._read(consume)
        else:
            events = await self._read(_identity)
            if events and any(event.get("fullDocumentBeforeChange") for event in events):
                await self._check_images(self._keeps_images)
            taken = consume(events) if events else None
        if taken is not None:
            return taken
        if not self._cursor.is_open:
            raise SourceFailed(FaultKind.RETRY, "the change stream was closed")
        if self._primary.elections != self._elections:
            # The old one may go on to answer, cut off from the others, with a stream that shows nothing any more.
            raise SourceFailed(FaultKind.RETRY, "another primary was elected")
        return Idle(self._check_stall())

    async def _read(self, consume: Callable[[Documents], T]) -> T | None:
        try:
            return await self._cursor.next_batch(partial(self._note_progress, consume))
        except PyMongoError as error:
            raise source_failed(error) from error
        except InvalidBSON as error:
            raise SourceFailed(FaultKind.UNREADABLE, str(error)) from error

    def _note_progress(self, consume: Callable[[Documents], T], events: Documents) -> T | None:
        if not events:
            return None
        self._moved_at = monotonic()
        return consume(events)

    async def _check_images(self, keeps_images: Callable[[], Awaitable[bool]]) -> None:
        """An image came although none were kept when the stream was opened: before the collection was made, perhaps.

        The mode of an open stream is fixed, and by looking up, this one would show later states for ever.
        """
        if await keeps_images():
            raise SourceFailed(FaultKind.RETRY, "the collection keeps images now, the stream is opened anew")
        self._keeps_images = None  # no longer: this image is of a time when it did

    def _check_stall(self) -> str:
        """A token that stands still means a primary that was cut off: it answers, but will never show a change.

        A healthy one moves the token at least every ten seconds by writing no-ops of its own.
        """
        token = self._cursor.token
        if token != self._token:
            self._token, self._moved_at = token, monotonic()
        elif monotonic() - self._moved_at > self._stall_seconds:
            raise SourceFailed(FaultKind.RETRY, f"the resume token has not moved for {self._stall_seconds:.0f} s")
        return token


def _identity(events: Documents) -> Documents:
    return events
