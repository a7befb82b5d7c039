"""The product with AUTH=jwt as processes: a prepared database, a watcher, and as many gateways as a test wants."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.access.tokens import SETTINGS
from tests.running_product import Orders, RunningProduct, product_on
from tests.servers import Servers
from tests.service_process import ServiceProcess


class Guarded(RunningProduct):
    """Its gateways ask for tokens unless told otherwise."""

    async def gateway(self, **settings: str) -> ServiceProcess:
        return await self.start("gateway", **{**SETTINGS, **settings})

    async def watcher(self, **settings: str) -> ServiceProcess:
        return await self.start("watcher", **settings)


def guarded_on(servers: Servers, folder: Path) -> AbstractAsyncContextManager[Guarded]:
    return product_on(servers, folder, Guarded)


@pytest.fixture
async def guarded(session_servers: Servers, tmp_path: Path) -> AsyncIterator[Guarded]:
    async with guarded_on(session_servers, tmp_path) as product:
        yield product


@dataclass
class Gate:
    """A gateway that nothing but requests changes, shared by the tests of a module."""

    url: str
    process: ServiceProcess
    orders: Orders
    product: Guarded


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate(session_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gate]:
    async with guarded_on(session_servers, tmp_path_factory.mktemp("gate")) as product:
        await product.watcher()
        gateway = await product.gateway()
        yield Gate(gateway.url, gateway, product.orders, product)
