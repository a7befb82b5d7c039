"""A database that is watched, a writer that knows what was acknowledged, and the log to compare with."""

import asyncio
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from bson import ObjectId
from pymongo.asynchronous.collection import AsyncCollection
from redis.asyncio import Redis

from services.common.cursor import Cursor
from tests.conftest import RunService
from tests.log_entries import Entry, entries, head
from tests.service_process import ServiceProcess
from tests.waiting import until

Orders = AsyncCollection[dict[str, Any]]
JOHN = {"customer_name": "John Doe", "product_name": "Laptop", "status": "pending"}


@dataclass
class Stack:
    """A prepared database, a Redis, and a way to start watchers on them."""

    mongodb_uri: str
    redis_url: str
    orders: Orders
    redis: Redis
    run: RunService

    async def watcher(self, *, wait_for_log: bool = True, **settings: str) -> ServiceProcess:
        fast = {"LEASE_SECONDS": "1", "LOG_FORMAT": "console", **settings}
        watcher = await self.run("watcher", {"MONGODB_URI": self.mongodb_uri, "REDIS_URL": self.redis_url, **fast})
        if wait_for_log:
            await until(self.epoch, "the log is begun")
        return watcher

    async def epoch(self) -> str | None:
        return (await head(self.redis)).get("epoch")

    async def state(self) -> dict[str, Any]:
        return await self.orders.database["stream_state"].find_one({"_id": "orders"}) or {}

    async def log_of(self, count: int) -> list[dict[str, Any]]:
        """Return the envelopes in the log, as soon as there are so many."""

        async def enough() -> list[Entry]:
            found = await entries(self.redis)
            return found if len(found) >= count else []

        return envelopes(await until(enough, f"{count} changes are in the log"))

    async def entries_with(self, change: tuple[str, str]) -> list[Entry]:
        """Return the log's entries as soon as this change is one of them."""

        async def found() -> list[Entry]:
            log = await entries(self.redis)
            return log if change in operations([json.loads(entry.envelope) for entry in log]) else []

        return await until(found, f"{change} is in the log", 60)

    async def log_ending_with(self, done: list[tuple[str, str]]) -> list[dict[str, Any]]:
        """Return the envelopes in the log as soon as they end with these changes; a rebuilt log has older ones too."""

        async def ends() -> list[dict[str, Any]]:
            log = envelopes(await entries(self.redis))
            return log if operations(log)[-len(done) :] == done else []

        return await until(ends, f"the log ends with the {len(done)} acknowledged changes", 60)


def envelopes(found: Sequence[Entry]) -> list[dict[str, Any]]:
    """Read the entries, after checking that they are a chain and that each is where it says."""
    for earlier, later in itertools.pairwise(found):
        assert later.previous == earlier.id
    read = [json.loads(entry.envelope) for entry in found]
    assert [str(Cursor.parse(each["cursor"]).position) for each in read] == [entry.id for entry in found]
    positions = [Cursor.parse(each["cursor"]).position for each in read]
    assert positions == sorted(set(positions))
    return read


@dataclass
class Writer:
    """Writes as fast as MongoDB acknowledges, and remembers its writes."""

    orders: Orders
    done: list[tuple[str, str]] = field(default_factory=list)

    stopping: bool = False

    async def write(self) -> None:
        number = 0
        while not self.stopping:
            number += 1
            order = ObjectId()
            await self.orders.insert_one({"_id": order, "number": number, **JOHN})
            self.done.append(("INSERT", str(order)))
            if number % 3 == 0:
                await self.orders.update_one({"_id": order}, {"$set": {"status": "shipped"}})
                self.done.append(("UPDATE", str(order)))
            if number % 5 == 0:
                await self.orders.delete_one({"_id": order})
                self.done.append(("DELETE", str(order)))

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.write())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop between two writes, so that everything that was written was acknowledged."""
        self.stopping = True
        await self._task

    async def has_written(self, more: int) -> None:
        goal = len(self.done) + more
        await until(lambda: len(self.done) >= goal, f"{goal} writes are acknowledged")


def operations(log: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(each["operation"], each["id"]) for each in log]
