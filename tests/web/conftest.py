"""The whole stack as processes, and browsers with its page.

- ``stack: Stack``: a watcher, a gateway and the collection that other programs write to, which is empty. The tests of
  a module share them one after the other; what one has killed is started again for the next.
- ``start_stack: StartStack``: the same for this test alone, with settings of its own for the gateway.
- ``open_page: OpenPage``: ``page = open_page(stack.url)``, closed at the end; an error in the browser's console fails
  the test.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, closing
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection

from services.commands.setup_db import setup
from tests.conftest import RunService
from tests.running_product import RunningProduct, product_on
from tests.servers import Servers
from tests.service_process import ServiceProcess
from tests.waiting import until
from tests.web.browser import DESKTOP, Page, Screen
from tests.web.browser_pool import BrowserPool


@dataclass(frozen=True)
class Stack:
    """A running system."""

    gateway: ServiceProcess
    orders: AsyncCollection[dict[str, Any]]
    http: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return self.gateway.url

    async def create(self, customer: str, product: str = "Laptop", status: str = "pending") -> str:
        """Add an order through the API and return its id."""
        order = {"customer_name": customer, "product_name": product, "status": status}
        async with self.http.post(f"{self.url}/api/orders", json=order) as response:
            assert response.status == 201
            created: str = (await response.json())["_id"]
            return created


class StartStack(Protocol):
    """Start watcher and gateway, the gateway with these settings too."""

    async def __call__(self, settings: Mapping[str, str]) -> Stack: ...


class OpenPage(Protocol):
    """Open the page in a browser that is used for nothing else meanwhile, and knows of nothing before."""

    def __call__(
        self, url: str, *, screen: Screen = DESKTOP, dark: bool = False, reduced_motion: bool = False
    ) -> Page: ...


@pytest.fixture
async def start_stack(mongodb_uri: str, redis_url: str, run_service: RunService) -> AsyncIterator[StartStack]:
    async with AsyncExitStack() as resources:

        async def start(settings: Mapping[str, str]) -> Stack:
            await asyncio.to_thread(lambda: list(setup(mongodb_uri)))
            client = await resources.enter_async_context(AsyncMongoClient[dict[str, Any]](mongodb_uri))
            orders = client.get_default_database()["orders"]
            await orders.delete_many({})  # the samples: a test knows its own orders
            servers = {"MONGODB_URI": mongodb_uri, "REDIS_URL": redis_url}
            _, gateway = await asyncio.gather(
                run_service("watcher", servers),
                run_service("gateway", {**servers, "SERVER_NAME": "replica-1", **settings}),
            )
            return Stack(gateway, orders, await resources.enter_async_context(aiohttp.ClientSession()))

        yield start


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_product(
    session_servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningProduct]:
    async with product_on(session_servers, tmp_path_factory.mktemp("stack"), RunningProduct) as product:
        await asyncio.gather(product.start("watcher"), product.start("gateway", SERVER_NAME="replica-1"))
        yield product


@pytest.fixture
async def stack(shared_product: RunningProduct) -> AsyncIterator[Stack]:
    # Clients of its own: those of the product belong to the event loop of the module.
    uri = shared_product.environment["MONGODB_URI"]
    async with AsyncMongoClient[dict[str, Any]](uri) as client, aiohttp.ClientSession() as http:
        orders = client.get_default_database()["orders"]
        for service in shared_product.started:
            if not service.running:
                await service.start()
        watcher, gateway = shared_product.started
        written = {service: len(service.output) for service in (watcher, gateway)}
        await orders.delete_many({})
        await until(lambda: _has_no_clients(gateway), "the pages of the test before have left")
        yield Stack(gateway, orders, http)
        for service, size in written.items():
            print(f"--- {service.name}\n{service.output[size:]}")  # noqa: T201 - shown where the test fails


async def _has_no_clients(gateway: ServiceProcess) -> bool:
    return await gateway.metric("orders_gateway_admitted_connections") == 0


@pytest.fixture(scope="session")
def browsers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserPool]:
    with closing(BrowserPool(tmp_path_factory.mktemp("browsers"))) as pool:
        yield pool


@pytest.fixture
def open_page(browsers: BrowserPool) -> Iterator[OpenPage]:
    pages: list[Page] = []
    with ExitStack() as stack:

        def open_it(url: str, *, screen: Screen = DESKTOP, dark: bool = False, reduced_motion: bool = False) -> Page:
            page = stack.enter_context(browsers.page(screen, dark=dark, reduced_motion=reduced_motion))
            pages.append(page)
            page.driver.get(url)
            return page

        yield open_it
        for page in pages:
            assert page.errors == []
