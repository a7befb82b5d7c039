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

from services.embedded.mongod import Mongod
from services.embedded.mongod_set import MongodSet
from services.embedded.ports import free_port
from services.embedded.valkey import Valkey
from services.setup_db import setup
from tests.servers import SMALL_OPLOG
from tests.service_process import ServiceProcess

DATABASE = "realtime_orders"
# Short, so that a dead connection is noticed within a scenario. The addresses of all clients are one here.
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
    """What the stack is made of."""

    members: int = 1
    watchers: int = 2
    gateways: int = 3
    durable: bool = False
    mongod: Sequence[str] = SMALL_OPLOG
    valkey: Sequence[str] = ()
    settings: Mapping[str, str] = field(default_factory=dict)


class Stack:
    """Used by `async with`; leaving it stops everything."""

    def __init__(self, folder: Path, shape: Shape) -> None:
        self._exit = AsyncExitStack()
        self._shape = shape
        self.folder = folder
        self.valkey = Valkey(
            folder=folder / "valkey", port=free_port(), durable=shape.durable, arguments=list(shape.valkey)
        )
        self.members = [
            Mongod(
                folder=folder / f"mongod-{number}", port=free_port(), arguments=shape.mongod, alone=shape.members == 1
            )
            for number in range(shape.members)
        ]
        self.set = MongodSet(self.members) if shape.members > 1 else None
        self.watchers: list[ServiceProcess] = []
        self.gateways: list[ServiceProcess] = []

    @property
    def mongodb_uri(self) -> str:
        return self.members[0].uri(DATABASE) if self.set is None else self.set.uri(DATABASE)

    @property
    def redis_url(self) -> str:
        return self.valkey.uri()

    @property
    def urls(self) -> list[str]:
        """The gateways' base addresses."""
        return [gateway.url for gateway in self.gateways]

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            async with asyncio.TaskGroup() as group:
                group.create_task(stack.enter_async_context(self.valkey))
                group.create_task(stack.enter_async_context(self.set or self.members[0]))
            await asyncio.to_thread(lambda: list(setup(self.mongodb_uri)))
            await self._empty()
            self.watchers = [self._service("watcher", "WATCHER_PORT") for _ in range(self._shape.watchers)]
            self.gateways = [self._service("gateway", "PORT", _GATEWAY) for _ in range(self._shape.gateways)]
            async with asyncio.TaskGroup() as group:
                for service in [*self.watchers, *self.gateways]:
                    stack.push_async_callback(service.stop)
                    group.create_task(service.start())
            self._exit = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        # All at once: one that is frozen or drains shall not keep the others waiting.
        await asyncio.gather(*(service.kill() for service in [*self.watchers, *self.gateways]))
        await self._exit.aclose()

    def _service(self, service: str, port_variable: str, more: Mapping[str, str] | None = None) -> ServiceProcess:
        port = free_port()
        settings = {
            "MONGODB_URI": self.mongodb_uri,
            "REDIS_URL": self.redis_url,
            port_variable: str(port),
            **(more or {}),
            **self._shape.settings,
        }
        return ServiceProcess(service=service, port=port, folder=self.folder, settings=settings)

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

    async def standby(self) -> ServiceProcess:
        """Return a watcher that does not lead."""
        leader = await self.leader()
        return next(watcher for watcher in self.watchers if watcher is not leader and watcher.running)

    async def primary(self) -> Mongod:
        """Return the mongod that takes writes."""
        return self.members[0] if self.set is None else await self.set.primary()


async def _leads(watcher: ServiceProcess) -> bool:
    timeout = aiohttp.ClientTimeout(total=1)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{watcher.url}/metrics") as response,
        ):
            return _LEADER.search(await response.text()) is not None
    except (aiohttp.ClientError, TimeoutError):
        return False
