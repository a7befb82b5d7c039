"""Two replicas of the API over one database, and answers that can be compared."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from services.commands.setup_db import setup
from services.common.cursor import Cursor, Position, cluster_time
from services.common.numbering import Numbering
from services.common.visible_fields import ALL_FIELDS
from services.gateway.store import OrderStore
from tests.integration.rest_api import Client, Orders, orders_at, serve


class Reply(NamedTuple):
    """All of an answer that a client may build on."""

    status: int
    body: str
    cursor: str | None
    location: str | None
    etag: str | None

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def position(self) -> Position:
        assert self.cursor is not None
        return Cursor.parse(self.cursor).position


class Replicas(NamedTuple):
    """Two gateways, each with connections of its own, and the collection behind them."""

    both: tuple[Client, Client]
    orders: Orders

    async def ask(self, method: str, path: str, body: Any = None, *, of: int = 0, **headers: str) -> Reply:
        """Send a request; the names of headers have ``_`` for ``-``."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        client = self.both[of % 2]
        async with client.request(method, path, json=body, headers=named) as reply:
            text = await reply.text()
            told = (reply.headers.get(name) for name in ("Stream-Cursor", "Location", "ETag"))
            return Reply(reply.status, text, *told)

    async def now(self) -> Any:
        """Return MongoDB's time, before any later change."""
        return (await self.orders.database.command("ping"))["operationTime"]

    async def changes(self, start: Any, count: int) -> list[tuple[str, str, Position]]:
        """Return the changes after ``start``, numbered as the watcher numbers them."""
        numbering = Numbering("e1", Position.end_of(cluster_time(start)), ALL_FIELDS)
        found: list[tuple[str, str, Position]] = []
        async with await self.orders.watch(start_at_operation_time=start) as stream:
            while len(found) < count:
                event = await stream.next()
                if cluster_time(event["clusterTime"]) > cluster_time(start):
                    numbering.of(event)
                    found.append((event["operationType"], str(event["documentKey"]["_id"]), numbering.last))
        return found


@asynccontextmanager
async def replicas_at(uri: str) -> AsyncIterator[Replicas]:
    await asyncio.to_thread(lambda: list(setup(uri)))
    async with (
        orders_at(uri) as orders,
        OrderStore.open(uri) as one,
        OrderStore.open(uri) as other,
        serve(one) as first,
        serve(other) as second,
    ):
        yield Replicas((first, second), orders)
