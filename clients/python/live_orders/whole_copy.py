"""Keeps a copy of all orders that fit the filter: a snapshot, and its changes from the same stream."""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from live_orders.changes import Change, Order
from live_orders.replica import Replica
from live_orders.server import Server, Unavailable
from live_orders.stream import SNAPSHOT, StreamEvent
from live_orders.view import Rows

_FETCH_AGAIN = 1.0  # seconds


class News(NamedTuple):
    """What an event has done."""

    change: Change | None = None
    reloaded: bool = False


class WholeCopy:
    """Takes the events of the stream at ``path``."""

    since = SNAPSHOT

    def __init__(self, server: Server, collection: str) -> None:
        self.path = collection
        self.state = Replica()
        self._server = server

    def rows(self, written: Mapping[str, Order | None]) -> Rows:
        """Return the orders by their ids, with our own writes among them."""
        return Rows(self.state.rows, written)

    async def take(self, event: StreamEvent) -> News | None:
        """Take an event; return None where nothing can be seen of it."""
        state, told = self.state, event.told
        match event.name:
            case "connected":  # where the server is, not we
                return None
            case "snapshot":
                state.add(told["part"], told["orders"])
                return None
            case "live":
                state.complete(told["cursor"])
                return News(reloaded=True)
            case "resync":
                state.begin(told["reason"])
            case "orderUpdate":
                change = Change.of(told)
                if not state.apply(change):
                    await self._fetch(change.id)
                return News(change)
            case _ if event.id is not None:
                state.reached(event.id)
        return News()

    async def _fetch(self, id: str) -> None:
        """Fetch an order whose change came without it: it was too large, or has changed again meanwhile."""
        while True:
            try:
                answer = await self._server.request("GET", f"{self.path}/{quote(id, safe='')}")
            except Unavailable:
                await asyncio.sleep(_FETCH_AGAIN)
                continue
            if answer.status in {200, 404}:
                order = answer.body if answer.status == 200 else None
                self.state.amend(id, order, answer.headers.get("Stream-Cursor"))
                return
            await asyncio.sleep(_FETCH_AGAIN)
