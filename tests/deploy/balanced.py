"""The project's load balancer in front of gateways and watchers, all as processes of this machine, without Docker."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from services.embedded.ports import free_port
from tests.deploy.haproxy import HAProxy
from tests.deploy.name_server import name_server
from tests.forked_process import ForkedService
from tests.running_product import end
from tests.service_process import ServiceProcess


@dataclass(eq=False, kw_only=True)
class Gateway(ForkedService):
    """A gateway with an address of its own, as a container has: all listen on the same port."""

    address: str

    def __post_init__(self) -> None:
        super().__post_init__()
        self.name = f"gateway-{self.address.rpartition('.')[2]}"
        self.log = self.folder / f"{self.name}.log"
        self.settings = {**self.settings, "HOST": self.address, "PORT": str(self.port), "SERVER_NAME": self.name}

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"

    async def launch(self) -> None:
        """Start it, though others listen on the same port, at other addresses."""
        self._process = await self.spawn()


@dataclass
class Stack:
    """The services behind the load balancer, and their addresses."""

    front: HAProxy
    gateways: Sequence[Gateway]
    watchers: Sequence[ServiceProcess]

    @property
    def url(self) -> str:
        return self.front.url

    def gateway(self, name: str) -> Gateway:
        return next(gateway for gateway in self.gateways if gateway.name == name)


@asynccontextmanager
async def balanced_stack(
    folder: Path,
    settings: Mapping[str, str],
    *,
    gateways: int = 3,
    started: int | None = None,
    tls: Path | None = None,
    at: int | None = None,
) -> AsyncIterator[Stack]:
    """Start two watchers, the gateways (or the first of them) and the load balancer; give them once all serve.

    ``at`` is the port of the load balancer where that must be known before.
    """
    port = free_port()
    every = [
        Gateway(service="gateway", port=port, folder=folder, settings=settings, address=f"127.0.0.{10 + number}")
        for number in range(gateways)
    ]
    watchers = [
        ForkedService(service="watcher", port=number, folder=folder, settings={**settings, "WATCHER_PORT": str(number)})
        for number in (free_port(), free_port())
    ]

    def addresses(name: str) -> Sequence[str]:
        return [one.address for one in every if one.running and name in ("gateway", one.name)]

    processes = (*watchers, *every)

    async with AsyncExitStack() as stack:
        stack.push_async_callback(end, processes)
        await asyncio.gather(*(process.start() for process in (*watchers, *every[:started])))
        resolver_port = await stack.enter_async_context(name_server(addresses))
        front = HAProxy(
            folder=folder, gateway_port=port, resolver_port=resolver_port, certificate=tls, port=at or free_port()
        )
        await stack.enter_async_context(front)
        yield Stack(front, every, watchers)
