"""Reads the history from MongoDB itself, independently of the watcher; clients are compared with it."""

from enum import Enum
from typing import Any, Self

from bson import ObjectId
from bson.timestamp import Timestamp
from pymongo import AsyncMongoClient, ReadPreference
from pymongo.errors import OperationFailure
from pymongo.read_concern import ReadConcern

from services.common.cursor import Position
from tests.faults.order import content, stamped
from tests.faults.record import View
from tests.faults.truth import Change

Document = dict[str, Any]

_BEFORE = "fullDocumentBeforeChange"
_FIELDS = ("customer_name", "product_name", "status")
_TOO_LARGE = 10334
_OPERATIONS = {"insert": "INSERT", "update": "UPDATE", "replace": "UPDATE", "delete": "DELETE"}


class _Mode(Enum):
    """How to read: a change that is too large with its images must not make its neighbours fail."""

    FAST = "in batches"
    ONE_BY_ONE = "one by one, up to the change that is too large"
    WITHOUT_IMAGES = "that one change"


class Witness:
    """Knows every change since `begin`. The oplog keeps them until `read` is called."""

    def __init__(self, mongodb_uri: str) -> None:
        self._client: AsyncMongoClient[Document] = AsyncMongoClient(mongodb_uri, connectTimeoutMS=2000)
        self._database = self._client.get_default_database()
        self._start: Document = {}
        self._last = Position(0, 0)
        self.changes: list[Change] = []
        self._known: View = {}

    async def __aenter__(self) -> Self:
        await self.begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def begin(self) -> None:
        """Read changes from now on; those read before are kept."""
        reply = await self._client.admin.command("ping")
        stamp = reply["operationTime"]
        self._start = {"start_at_operation_time": Timestamp(stamp.time, stamp.inc + 1)}

    async def read(self) -> None:
        """Read up to the present; to be called before the oplog overwrites the changes."""
        reply = await self._client.admin.command("ping")
        until = _u64(reply["operationTime"])
        mode = _Mode.FAST
        while True:
            try:
                if await self._read(until, mode):
                    return
                mode = _Mode.FAST
            except OperationFailure as error:
                if error.code != _TOO_LARGE or mode is _Mode.WITHOUT_IMAGES:
                    raise
                mode = _Mode.ONE_BY_ONE if mode is _Mode.FAST else _Mode.WITHOUT_IMAGES

    async def _read(self, until: int, mode: _Mode) -> bool:
        """Read to ``until`` and return True; without images, read one change and return False."""
        # The whole deployment is watched, so that neither a drop nor a rename ends the stream.
        match = {"ns.db": self._database.name, "ns.coll": "orders", "operationType": {"$in": list(_OPERATIONS)}}
        images = mode is not _Mode.WITHOUT_IMAGES
        fields = ["operationType", "clusterTime", "documentKey", "fullDocument"]
        fields += [_BEFORE] if images else [f"updateDescription.updatedFields.{field}" for field in _FIELDS]
        which = "whenAvailable"
        wanted: Document = {"full_document": which, "full_document_before_change": which} if images else {}
        async with await self._client.watch(
            [{"$match": match}, {"$project": dict.fromkeys(fields, 1)}],
            max_await_time_ms=200,
            batch_size=2000 if mode is _Mode.FAST else 1,
            **wanted,
            **self._start,
        ) as stream:
            while True:
                event = await stream.try_next()
                token = stream.resume_token
                self._start = {"start_after": token}
                if event is not None:
                    self._note(event if images else self._imagined(event))
                    if not images:
                        return False
                elif _time_of(token) >= until:
                    return True

    def _imagined(self, event: Document) -> Document:
        """Add the images, computed from the order's previous state; an insert and a replace have their own."""
        known = self._known.get(str(event["documentKey"]["_id"]))
        if known is None:
            return event
        before = dict(zip(_FIELDS, (known.customer, stamped(known.stamp), known.status), strict=True))
        changed = event.get("updateDescription", {}).get("updatedFields")
        after = {} if changed is None else {"fullDocument": before | changed}
        return {**event, _BEFORE: before, **after}

    def _note(self, event: Document) -> None:
        ts = _u64(event["clusterTime"])
        self._last = Position(ts, self._last.n + 1) if ts == self._last.ts else Position(ts, 0)
        before, after = event.get(_BEFORE), event.get("fullDocument")
        change = Change(
            position=self._last,
            operation=_OPERATIONS[event["operationType"]],
            id=str(event["documentKey"]["_id"]),
            before=content(before) if before else None,
            after=content(after) if after else None,
        )
        self.changes.append(change)
        if change.after is not None:
            self._known[change.id] = change.after

    async def database(self) -> View:
        """Return the orders that are stored now."""
        orders = self._database.get_collection(
            "orders", read_concern=ReadConcern("majority"), read_preference=ReadPreference.PRIMARY
        )
        view: View = {}
        async for document in orders.find({"_id": {"$type": "objectId"}}):
            order = content(document)
            if order is not None and isinstance(document["_id"], ObjectId):
                view[str(document["_id"])] = order
        return view


def _u64(stamp: Timestamp) -> int:
    return stamp.time << 32 | stamp.inc


def _time_of(token: Any) -> int:
    """Return the cluster time that a resume token begins with, after its type byte."""
    return int(token["_data"][2:18], 16)
