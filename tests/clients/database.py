"""What the database was after every commit, as its own change stream tells: what a copy must be compared with."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from pymongo.asynchronous.change_stream import AsyncChangeStream
from pymongo.asynchronous.collection import AsyncCollection

from services.common.ids import id_text
from services.common.order_json import order_json
from services.common.visible_fields import ALL_FIELDS
from tests.clients.bson_order import first
from tests.waiting import meanwhile, until

Orders = AsyncCollection[dict[str, Any]]
Rows = dict[str, Any]
Window = Mapping[str, Any]


class Database:
    """Keeps the state after each commit; a cursor's cluster time leads to the state at that time."""

    def __init__(self, marks: Orders, wanted: Mapping[str, list[str]], window: Window | None) -> None:
        self.commits = 0
        self._marks = marks
        self._mark = 0
        self._wanted = wanted
        self.window = window
        self._all: Rows = {}  # the documents as they are stored
        self._states: list[tuple[int, int, Rows]] = []  # cluster time, ordinal of the last change, orders that fit

    def start(self, documents: list[dict[str, Any]]) -> None:
        self._all = {id_text(each["_id"]): each for each in documents}
        if self.window is not None and self.window.get("after") is not None:
            self.window = {**self.window, "after": self._all[self.window["after"]["order"]["_id"]]}
        self._keep(0)

    async def follow(self, stream: AsyncChangeStream[dict[str, Any]]) -> None:
        async for event in stream:
            if event["ns"]["coll"] == self._marks.name:
                self._mark = event["documentKey"]["_id"]
                continue
            name = id_text(event["documentKey"]["_id"])
            if event["operationType"] == "delete":
                self._all.pop(name, None)
            else:
                self._all[name] = event["fullDocument"]
            at = event["clusterTime"]
            self._keep(at.time << 32 | at.inc)
            self.commits += 1

    async def caught_up(self) -> None:
        """Return when all that has been written so far is known here."""
        mark = self._mark + 1
        await self._marks.insert_one({"_id": mark})
        await until(lambda: self._mark >= mark, "the test has read all changes")

    def _keep(self, at: int) -> None:
        ordinal = self._states[-1][1] + 1 if self._states and self._states[-1][0] == at else 0
        documents = [each for each in self._all.values() if self.wants(each)]
        if self.window is not None:
            documents = first(documents, **self.window)
        self._states.append((at, ordinal, {id_text(each["_id"]): order_json(each, ALL_FIELDS) for each in documents}))

    def wants(self, order: Mapping[str, Any]) -> bool:
        return all(order.get(field) in values for field, values in self._wanted.items())

    @property
    def rows(self) -> Rows:
        """The orders that fit, as of the last commit seen; those of a window in their order."""
        return self._states[-1][2]

    def at(self, cursor: str) -> Rows:
        """Return the orders that fit, as of a cursor."""
        time, _, ordinal = cursor.partition(".")[2].partition("-")
        place = (int(time), int(ordinal))
        return [rows for at, number, rows in self._states if (at, number) <= place][-1]


@asynccontextmanager
async def watched(
    orders: Orders, wanted: Mapping[str, list[str]], window: Window | None = None
) -> AsyncIterator[Database]:
    """Follow the collection meanwhile; nothing may be written before the context is entered."""
    marks = orders.database["marks"]
    await marks.delete_many({})
    database = Database(marks, wanted, window)
    ours = [{"$match": {"ns.coll": {"$in": [orders.name, marks.name]}}}]
    async with await orders.database.watch(ours, full_document="whenAvailable") as stream:
        database.start(await orders.find().to_list())
        async with meanwhile(database.follow(stream)):
            yield database
