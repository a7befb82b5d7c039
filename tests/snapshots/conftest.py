"""The product as processes, shared by the tests of a module: two gateways, and one with AUTH=jwt."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from bson import Timestamp

from tests.access.tokens import SETTINGS
from tests.running_product import RunningProduct, product_on
from tests.servers import Servers
from tests.service_process import ServiceProcess


@dataclass
class Scene(RunningProduct):
    """The orders, and services on them."""

    gateways: tuple[ServiceProcess, ...] = ()

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(each.url for each in self.gateways)

    async def guarded(self, **settings: str) -> ServiceProcess:
        return await self.start("gateway", **{**SETTINGS, **settings})

    async def now(self) -> Timestamp:
        """Return a time after all that is written so far."""
        reply = await self.orders.database.command("ping")
        return Timestamp(reply["operationTime"].time, reply["operationTime"].inc + 1)

    async def finds(self) -> int:
        """Return how many `find` commands MongoDB has been sent."""
        status = await self.orders.database.client.admin.command("serverStatus")
        return int(status["metrics"]["commands"]["find"]["total"])


def scene_on(servers: Servers, folder: Path) -> AbstractAsyncContextManager[Scene]:
    return product_on(servers, folder, Scene)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(session_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """A watcher, and two gateways with so small a ring that many who come back need Redis."""
    async with scene_on(session_servers, tmp_path_factory.mktemp("scene")) as prepared:
        await prepared.start("watcher")
        prepared.gateways = tuple([await prepared.start("gateway", RING_EVENTS="100") for _ in range(2)])
        yield prepared


@pytest_asyncio.fixture(loop_scope="module")
async def emptied(scene: Scene) -> Scene:
    """The same, without orders."""
    await scene.orders.delete_many({})
    return scene
