"""Reads the change stream of the orders, and is the only file that knows how MongoDB delivers it."""

import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any, TypeVar

from bson.errors import InvalidBSON
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure, PyMongoError

from services.common.cursor import cluster_time, timestamp
from services.common.documents import CODEC
from services.common.normalize import FIELDS, IMAGES, matching
from services.mongodb.deployment import Deployment
from services.mongodb.faults import Fault, classify, explain
from services.mongodb.primary import Primary
from services.mongodb.server_cursor import Documents, ServerCursor, server_cursor

# Longer than any pause between two looks at the lease, shorter than the client's socket timeout. It bounds how long a
# stop takes, and how often a quiet stream gives a sign of life; changes do not wait for it.
AWAIT_MS = 500

_LOOK_UP = "updateLookup"

T = TypeVar("T")


class SourceFailed(Exception):
    """The change stream cannot be read; ``fault`` says what that means."""

    def __init__(self, fault: Fault, message: str) -> None:
        super().__init__(message)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class StartAfter:
    """Begin with the first event after this resume token."""

    token: str


@dataclass(frozen=True, slots=True)
class StartAt:
    """Begin with the first event of this cluster time (u64) or later."""

    ts: int


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing more has happened; the stream can resume after ``token``."""

    token: str


class ChangeStream:
    """The changes of one collection, read through its database so that a drop or a rename does not end the stream."""

    def __init__(self, database: "AsyncDatabase[Any]", collection: str, primary: Primary, stall_seconds: float) -> None:
        self._database = database
        self._decoded = database.with_options(codec_options=CODEC)
        self._collection = collection
        self._primary = primary
        self._stall_seconds = stall_seconds
        self._match = matching(collection)

    @property
    def pipeline(self) -> str:
        """A hash of what is matched: a resume token is good only for the pipeline that made it."""
        return hashlib.sha256(json.dumps(self._match, sort_keys=True).encode()).hexdigest()[:16]

    async def deployment(self) -> Deployment:
        """Ask MongoDB who it is and what its cluster time is; raise SourceFailed."""
        try:
            hello = await self._database.command("hello")
            stamp = hello.get("operationTime")
            if stamp is None:
                raise SourceFailed(Fault.NO_REPLICA_SET, "this MongoDB is no replica set: it has no change streams")
            return Deployment(await self._replica_set_id(), cluster_time(stamp))
        except PyMongoError as error:
            raise _failed(error, opening_with_token=False) from error

    async def _replica_set_id(self) -> str | None:
        try:
            reply = await self._database.client.admin.command("replSetGetConfig")
        except OperationFailure:
            return None  # needs a role (clusterMonitor) that the watcher may lack, or a mongos answers
        identity = reply["config"]["settings"].get("replicaSetId")
        return None if identity is None else str(identity)

    @asynccontextmanager
    async def open(self, start: StartAfter | StartAt, most: int, *, images: bool = True) -> "AsyncIterator[OpenStream]":
        """Open the stream, to be read by at most ``most`` events at once.

        Without ``images`` an event that is too large for MongoDB to deliver gets through.
        """
        options: dict[str, Any] = {}
        if images:
            # Prefer the stored image of each moment; looking the document up shows only what it is now.
            options["fullDocument"] = "whenAvailable" if await self._keeps_images() else _LOOK_UP
            options["fullDocumentBeforeChange"] = "whenAvailable"
        if isinstance(start, StartAfter):
            # Unlike resumeAfter, this takes the token of any event, that of an invalidate too.
            options["startAfter"] = {"_data": start.token}
        else:
            options["startAtOperationTime"] = timestamp(start.ts)
        project = {"$project": dict.fromkeys(FIELDS + IMAGES if images else FIELDS, 1)}
        # Not by the driver's `watch`, which resumes by itself, whatever answers now: perhaps a database that was
        # restored meanwhile, which accepts the token of a quiet moment without a word. We are to look first.
        pipeline = [{"$changeStream": options}, self._match, project]
        async with AsyncExitStack() as stack:
            try:
                cursor = await stack.enter_async_context(server_cursor(self._decoded, pipeline, most, AWAIT_MS))
            except PyMongoError as error:
                raise _failed(error, opening_with_token=True) from error
            looked_up = options.get("fullDocument") == _LOOK_UP
            yield OpenStream(
                cursor, self._primary, self._stall_seconds, keeps_images=self._keeps_images if looked_up else None
            )

    async def _keeps_images(self) -> bool:
        try:
            async for info in await self._database.list_collections(filter={"name": self._collection}):
                return bool(info["options"].get("changeStreamPreAndPostImages", {}).get("enabled"))
        except PyMongoError as error:
            raise _failed(error, opening_with_token=False) from error
        return False


class OpenStream:
    """An open change stream."""

    def __init__(
        self,
        cursor: ServerCursor,
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
        self._moved = monotonic()

    def ask(self) -> None:
        """Let MongoDB find the next events meanwhile, to be taken by `next`."""
        self._cursor.ask()

    async def next(self, take: Callable[[Documents], T]) -> T | Idle:
        """Return what ``take`` makes of all events that MongoDB sends at once, or Idle when there is none just now.

        It is called as soon as they are there, where nothing needs to be asked about them first. Raise SourceFailed, or
        what it raises. Never put a timeout around this: a cancelled read closes the stream, which is then silent for
        ever.
        """
        if self._keeps_images is None:
            taken = await self._read(take)
        else:
            events = await self._read(_as_they_are)
            if events and any(event.get("fullDocumentBeforeChange") for event in events):
                await self._require_look_up(self._keeps_images)
            taken = take(events) if events else None
        if taken is not None:
            return taken
        if not self._cursor.is_open:
            raise SourceFailed(Fault.RETRY, "the change stream was closed")
        if self._primary.elections != self._elections:
            # The old one may go on to answer, cut off from the others, with a stream that shows nothing any more.
            raise SourceFailed(Fault.RETRY, "another primary was elected")
        return Idle(self._idle_token())

    async def _read(self, take: Callable[[Documents], T]) -> T | None:
        try:
            return await self._cursor.more(partial(self._moving, take))
        except PyMongoError as error:
            raise _failed(error, opening_with_token=False) from error
        except InvalidBSON as error:
            raise SourceFailed(Fault.UNREADABLE, str(error)) from error

    def _moving(self, take: Callable[[Documents], T], events: Documents) -> T | None:
        if not events:
            return None
        self._moved = monotonic()
        return take(events)

    async def _require_look_up(self, keeps_images: Callable[[], Awaitable[bool]]) -> None:
        """An image came although none were kept when the stream was opened: before the collection was made, perhaps.

        The mode of an open stream is fixed, and by looking up, this one would show later states for ever.
        """
        if await keeps_images():
            raise SourceFailed(Fault.RETRY, "the collection keeps images now, the stream is opened anew")
        self._keeps_images = None  # no longer: this image is of a time when it did

    def _idle_token(self) -> str:
        """A token that stands still means a primary that was cut off: it answers, but will never show a change.

        A healthy one moves the token at least every ten seconds by writing no-ops of its own.
        """
        token = self._cursor.token
        if token != self._token:
            self._token, self._moved = token, monotonic()
        elif monotonic() - self._moved > self._stall_seconds:
            raise SourceFailed(Fault.RETRY, f"the resume token has not moved for {self._stall_seconds:.0f} s")
        return token


def _as_they_are(events: Documents) -> Documents:
    return events


def _failed(error: PyMongoError, *, opening_with_token: bool) -> SourceFailed:
    code = error.code if isinstance(error, OperationFailure) else None
    labels = ("NonResumableChangeStreamError",) if error.has_error_label("NonResumableChangeStreamError") else ()
    return SourceFailed(classify(code, labels, opening_with_token=opening_with_token), explain(str(error)))
