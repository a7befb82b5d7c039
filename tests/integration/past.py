"""Changes of real orders that Redis has trimmed, and a MongoDB that can be told to fail."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from bson import Timestamp
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection

from services.common.cursor import Cursor, Position, cluster_time
from services.common.normalize import EpochReason
from tests.integration.change_history import changes_since
from tests.integration.fed_gateway import APP_NAME, World, Writing


@dataclass
class Past:
    """The orders, and where each of their changes is; ``world`` has a Redis that knows nothing of them."""

    world: World
    orders: "AsyncCollection[dict[str, Any]]"
    began: Timestamp
    positions: list[int] = field(default_factory=list)

    async def write(self, count: int, size: int = 10) -> None:
        """Insert so many orders."""
        first = len(self.positions)
        numbers = range(first, first + count)
        await self.orders.insert_many([{"number": number, "filler": "x" * size} for number in numbers])
        self.positions = [each.at for each in await changes_since(self.orders, self.began, first + count)]

    async def forget(self) -> Writing:
        """Let Redis's log begin after all that was written."""
        writing = self.world.writing()
        await writing.publisher.restart_log("e1", EpochReason.FIRST_START, Position.end_of(self.positions[-1]), "")
        return writing

    def before(self, number: int) -> Cursor:
        """Return the cursor of a client that has seen all changes before this one."""
        return Cursor("e1", Position.before(self.positions[number]))

    async def later(self, seconds: int) -> None:
        """Return once MongoDB's time is so many seconds later."""
        until = cluster_time(await self._now()) + (seconds << 32)
        while cluster_time(await self._now()) < until:  # it goes on with writes only
            await self.orders.database["clock"].insert_one({})
            await asyncio.sleep(0.02)

    async def _now(self) -> Timestamp:
        stamp: Timestamp = (await self.orders.database.command("ping"))["operationTime"]
        return stamp

    @asynccontextmanager
    async def failing(self, commands: list[str], times: int | None = None, **how: Any) -> AsyncIterator[None]:
        """Let these commands of the gateway fail meanwhile, or so many times."""
        admin = self.orders.database.client.admin
        mode = "alwaysOn" if times is None else {"times": times}
        data = {"failCommands": commands, "appName": APP_NAME, **how}
        await admin.command({"configureFailPoint": "failCommand", "mode": mode, "data": data})
        try:
            yield
        finally:
            await admin.command({"configureFailPoint": "failCommand", "mode": "off"})


@asynccontextmanager
async def past_of(world: World) -> AsyncIterator[Past]:
    """Prepare the collection, with images, of a fresh MongoDB."""
    async with AsyncMongoClient[dict[str, Any]](world.mongodb_uri) as client:
        database = client.get_default_database()
        await database.create_collection("orders", changeStreamPreAndPostImages={"enabled": True})
        hello = await database.command("ping")
        yield Past(world, database["orders"], Timestamp(hello["operationTime"].time, hello["operationTime"].inc + 1))
