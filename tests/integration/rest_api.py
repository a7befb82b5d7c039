"""The REST half of the gateway as a real server on a real MongoDB, for the tests of it."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection

from services.front.runner import Runner
from services.gateway.edge.entrance import Entrance
from services.gateway.edge.fair_share import FairShare
from services.gateway.edge.incidents import count_nothing
from services.gateway.edge.origin import OriginPolicy
from services.gateway.http.docs import docs
from services.gateway.http.health import REST, STREAM, Health
from services.gateway.http.limits import RequestLimits
from services.gateway.http.middlewares import surround
from services.gateway.http.page import WebPage
from services.gateway.http.request_deadline import RequestDeadline
from services.gateway.http.rest import EXPOSED_HEADERS, OrdersApi
from services.gateway.metrics import GatewayMetrics
from services.gateway.store import OrderStore
from services.internal.readiness import Checks

Client = TestClient[web.Request, web.Application]
Orders = AsyncCollection[dict[str, Any]]

JOHN = {"customer_name": "John Doe", "product_name": "Laptop", "status": "pending"}


class Api(NamedTuple):
    """A client of the API, and the collection behind it."""

    client: Client
    orders: Orders


@cache
def _metrics() -> GatewayMetrics:
    """Return where all servers of these tests count, for nobody reads it and to make it costs as much as a request."""
    return GatewayMetrics()


class _AsInProduction(TestServer):
    """aiohttp's test server cancels the handlers of clients that leave; the real one lets them find out."""

    async def _make_runner(self, **options: Any) -> web.AppRunner:
        options["handler_cancellation"] = False
        return Runner(self.app, **options)


@asynccontextmanager
async def orders_at(uri: str) -> AsyncIterator[Orders]:
    """Give the orders of the database that ``uri`` names, which the fixture has made for this test."""
    async with AsyncMongoClient[dict[str, Any]](uri, tz_aware=True) as client:
        yield client.get_default_database()["orders"]


def store_of(orders: Orders, patience: float = 5.0) -> OrderStore:
    """Return a store for the collection, over the test's own connections."""
    return OrderStore(orders.database, orders.name, patience)


@asynccontextmanager
async def serve(
    store: OrderStore,
    *,
    epoch: Callable[[], str | None] = lambda: "e1",
    body_deadline: float = 30.0,
    origins: Iterable[str] = (),
    folders: tuple[Path, Path, Path] | None = None,
) -> AsyncIterator[Client]:
    """Run the API as the gateway composes it."""
    app = web.Application()
    entrance = Entrance(origins=OriginPolicy(origins, EXPOSED_HEADERS))
    request_deadline = RequestDeadline(store.gate, entrance.peers.account)
    limits = RequestLimits(FairShare(), entrance.peers.address, count_nothing)
    surround(app, entrance, request_deadline, limits, time_request=_metrics().time_request)
    app.add_routes(OrdersApi(store, epoch, body_deadline=body_deadline).routes())
    app.add_routes(docs(tokens=True, sign_in=False).routes())
    states = Checks({"mongodb": store.mongodb_state}, {REST: ("mongodb",), STREAM: ("mongodb",)})
    app.add_routes(Health(states).routes())
    if folders is not None:
        app.add_routes(WebPage(*folders).routes())
    async with TestClient(_AsInProduction(app)) as client:
        yield client


@asynccontextmanager
async def serve_orders(uri: str) -> AsyncIterator[Api]:
    """Run the API over the orders of the database that ``uri`` names."""
    async with orders_at(uri) as orders, serve(store_of(orders)) as client:
        yield Api(client, orders)
