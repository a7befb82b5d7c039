"""The servers and services of one audit, each a process that can be killed, frozen or started again."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import aiohttp
from pymongo import AsyncMongoClient

from services.commands.setup_db import setup
from services.embedded.mongod import Mongod
from services.embedded.mongod_set import MongodSet
from services.embedded.ports import free_port
from services.embedded.server import EmbeddedServer
from services.embedded.valkey import Valkey
from tests.access.tokens import SETTINGS
from tests.faults.cable import Cable
from tests.faults.clock import ClockedMongod
from tests.faults.network import Network, PlacedMongod, PlacedService
from tests.faults.small_disk import small_disk
from tests.servers import SMALL_OPLOG
from tests.service_process import ServiceProcess

DATABASE = "realtime_orders"
# Short, so that a dead connection is noticed within a scenario. All clients share one address here.
_GATEWAY = {
    "PING_INTERVAL_SECONDS": "2",
    "PING_TIMEOUT_SECONDS": "3",
    "SSE_HEARTBEAT_SECONDS": "2",
    "MAX_CONNECTIONS_PER_ADDRESS": "5000",
    "DRAIN_SECONDS": "1.5",
}
_LEADER = re.compile(r"^orders_watcher_leader 1\.0$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Shape:
    """The composition of the stack."""

    members: int = 1
    watchers: int = 2
    gateways: int = 3
    durable: bool = False
    mongod: Sequence[str] = SMALL_OPLOG
    valkey: Sequence[str] = ()
    valkey_disk: int = 0  # MB; 0: wherever the folder is
    mongod_disk: int = 0
    network: bool = False  # members and watchers in namespaces of their own
    clock: bool = False  # of MongoDB, to be shifted
    chop: int = 0  # one more address for clients, over which bytes come in pieces of at most so many
    jwt: bool = False  # each client has a token, most of them for some orders only
    cable: bool = False  # between the services and Redis, to be plugged elsewhere
    service: type[ServiceProcess] = ServiceProcess  # whose start is part of what a recovery takes
    settings: Mapping[str, str] = field(default_factory=dict)
    gateway_settings: Mapping[str, str] = field(default_factory=dict)


class Stack:
    """Used by `async with`; leaving it stops everything."""

    def __init__(self, folder: Path, shape: Shape) -> None:
        self._exit = AsyncExitStack()
        self._shape = shape
        self.folder = folder
        self.network = Network(shape.members + shape.watchers) if shape.network else None
        self.valkey = self._valkey()
        self.members = [self._member(number) for number in range(shape.members)]
        self.set = MongodSet(self.members) if shape.members > 1 else None
        self.cable = Cable(self.valkey.port) if shape.cable else None
        self.chopped: Cable | None = None
        self.watchers: list[ServiceProcess] = []
        self.gateways: list[ServiceProcess] = []

    @property
    def mongodb_uri(self) -> str:
        return self.members[0].uri(DATABASE) if self.set is None else self.set.uri(DATABASE)

    @property
    def redis_url(self) -> str:
        if self.network is not None:
            return f"redis://{self.network.address}:{self.valkey.port}/0"
        return self.valkey.uri() if self.cable is None else f"redis://127.0.0.1:{self.cable.port}/0"

    @property
    def urls(self) -> list[str]:
        """The gateways' base addresses."""
        chopped = [] if self.chopped is None else [f"http://127.0.0.1:{self.chopped.port}"]
        return [gateway.url for gateway in self.gateways] + chopped

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            if self.network is not None:
                await stack.enter_async_context(self.network)
            disks = {self.valkey.folder: self._shape.valkey_disk, self.members[0].folder: self._shape.mongod_disk}
            for folder, megabytes in disks.items():
                if megabytes:
                    await stack.enter_async_context(small_disk(folder, megabytes))
            if self.cable is not None:
                await stack.enter_async_context(self.cable)
            async with asyncio.TaskGroup() as group:
                group.create_task(stack.enter_async_context(self.valkey))
                group.create_task(stack.enter_async_context(self.set or self.members[0]))
            await asyncio.to_thread(lambda: list(setup(self.mongodb_uri)))
            await self._empty()
            self.watchers = [self._watcher(number) for number in range(self._shape.watchers)]
            self.gateways = [self._gateway() for _ in range(self._shape.gateways)]
            async with asyncio.TaskGroup() as group:
                for service in [*self.watchers, *self.gateways]:
                    stack.push_async_callback(service.stop)
                    group.create_task(service.start())
            if self._shape.chop:
                self.chopped = Cable(self.gateways[0].port, chop=self._shape.chop)
                await stack.enter_async_context(self.chopped)
            self._exit = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        # All at once, so that a frozen or draining one does not delay the others.
        await asyncio.gather(*(service.kill() for service in [*self.watchers, *self.gateways]))
        await self._exit.aclose()

    async def also(self, server: EmbeddedServer) -> None:
        """Start one more server and keep it to the end."""
        await self._exit.enter_async_context(server)

    def _valkey(self) -> Valkey:
        arguments = list(self._shape.valkey)
        if self.network is not None:  # for the watchers, which are in other namespaces
            arguments += ["--bind", "127.0.0.1", self.network.address, "--protected-mode", "no"]
        return Valkey(folder=self.folder / "valkey", port=free_port(), durable=self._shape.durable, arguments=arguments)

    def _member(self, number: int) -> Mongod:
        folder, port, alone = self.folder / f"mongod-{number}", free_port(), self._shape.members == 1
        if self.network is None:
            kind = ClockedMongod if self._shape.clock else Mongod
            return kind(folder=folder, port=port, arguments=self._shape.mongod, alone=alone)
        place = self.network.places[number]
        return PlacedMongod(folder=folder, port=port, arguments=self._shape.mongod, alone=alone, place=place)

    def _watcher(self, number: int) -> ServiceProcess:
        port = free_port()
        settings = self._settings({"WATCHER_PORT": str(port)})
        if self.network is None:
            return self._shape.service(service="watcher", port=port, folder=self.folder, settings=settings)
        place = self.network.places[self._shape.members + number]
        return PlacedService(service="watcher", port=port, folder=self.folder, settings=settings, place=place)

    def _gateway(self) -> ServiceProcess:
        port = free_port()
        identity = SETTINGS if self._shape.jwt else {}
        settings = self._settings({"PORT": str(port), **_GATEWAY, **identity, **self._shape.gateway_settings})
        return self._shape.service(service="gateway", port=port, folder=self.folder, settings=settings)

    def _settings(self, more: Mapping[str, str]) -> dict[str, str]:
        return {"MONGODB_URI": self.mongodb_uri, "REDIS_URL": self.redis_url, **more, **self._shape.settings}

    async def _empty(self) -> None:
        """Remove the sample orders: every order of an audit is one that its writers have made."""
        client: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(self.mongodb_uri)
        async with client:
            await client[DATABASE]["orders"].delete_many({})

    async def leader(self) -> ServiceProcess:
        """Return the watcher that leads; wait until one does."""
        while True:
            for watcher in self.watchers:
                if watcher.running and await _leads(watcher):
                    return watcher
            await asyncio.sleep(0.05)

    async def leaders(self) -> list[ServiceProcess]:
        """Return all watchers that believe they lead."""
        return [watcher for watcher in self.watchers if watcher.running and await _leads(watcher)]

    async def primary(self) -> Mongod:
        """Return the mongod that takes writes."""
        return self.members[0] if self.set is None else await self.set.primary()


async def _leads(watcher: ServiceProcess) -> bool:
    timeout = aiohttp.ClientTimeout(total=1)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{watcher.admin_url}/metrics") as response,
        ):
            return _LEADER.search(await response.text()) is not None
    except (aiohttp.ClientError, TimeoutError):
        return False
