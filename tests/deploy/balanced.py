"""The project's load balancer in front of gateways and watchers, all as processes of this machine, without Docker."""

import asyncio
import os
import shutil
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from services.embedded.ports import free_port
from services.embedded.process import Process
from services.embedded.server import EmbeddedServer
from tests.deploy.audience import ROOT
from tests.deploy.name_server import name_server
from tests.service_process import ServiceProcess

CONFIGURATION = ROOT / "deploy" / "nginx.conf"
PROXIES = ROOT / "deploy" / "nginx.proxies.conf"


@dataclass(eq=False, kw_only=True)
class Gateway(ServiceProcess):
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
        self._process = await Process.start(self.argv(), log=self.log, env=self.env(), cwd=self.cwd())


@dataclass(eq=False, kw_only=True)
class NginxServer(EmbeddedServer):
    """An nginx on a port of the loopback, with the configuration that a subclass writes."""

    folder: Path
    port: int
    name: str = "nginx"
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder / "nginx.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @abstractmethod
    def configuration(self) -> str:
        """Return its configuration."""

    def argv(self) -> list[str]:
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        if not Path(program).exists():
            pytest.fail("nginx is missing: install it (Debian: apt-get install nginx-light)")
        path = self.folder / "nginx.conf"
        # Its workers would run as the user nobody, which may not enter the test's folder.
        user = "user root;\n" if os.geteuid() == 0 else ""
        path.write_text(user + self.configuration(), encoding="utf-8")
        return [program, "-p", str(self.folder), "-c", str(path), "-e", "stderr", "-g", "daemon off;"]

    async def answers(self) -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.get(self.url + "/healthz") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False


@dataclass(eq=False, kw_only=True)
class Nginx(NginxServer):
    """nginx with the project's configuration; only the addresses and the folder for its files are the test's."""

    gateway_port: int
    resolver_port: int
    proxies: Sequence[str] = ()
    smaller: Mapping[str, str] = field(default_factory=dict)  # limits that a test can reach

    def configuration(self) -> str:
        """Return the project's configuration with this test's addresses in place of its own."""
        text = CONFIGURATION.read_text(encoding="utf-8")
        replacements = {
            "listen 3000;": f"listen 127.0.0.1:{self.port};",
            "gateway:3000;": f"gateway:{self.gateway_port};",
            "resolver 127.0.0.11 ": f"resolver 127.0.0.1:{self.resolver_port} ",
            "/tmp/": f"{self.folder}/",
            "/etc/nginx/proxies.conf": str(self._proxies()),
            "worker_processes auto;": "worker_processes 2;",
            **self.smaller,
        }
        for old, new in replacements.items():
            assert old in text, f"deploy/nginx.conf has no {old!r} any more"
            text = text.replace(old, new)
        return text

    def _proxies(self) -> Path:
        """Write the project's list of trusted proxies, with this test's among them."""
        text = PROXIES.read_text(encoding="utf-8")
        for network in self.proxies:
            text = text.replace("    default 0;\n", f"    default 0;\n    {network} 1;\n")
            text += f"set_real_ip_from {network};\n"
        path = self.folder / "proxies.conf"
        path.write_text(text, encoding="utf-8")
        return path


@dataclass
class Stack:
    """The services behind the load balancer, and their addresses."""

    url: str
    gateways: Sequence[Gateway]
    watchers: Sequence[ServiceProcess]

    def gateway(self, name: str) -> Gateway:
        return next(gateway for gateway in self.gateways if gateway.name == name)


@asynccontextmanager
async def balanced_stack(folder: Path, settings: Mapping[str, str]) -> AsyncIterator[Stack]:
    """Start two watchers, three gateways and the load balancer, and give them as soon as all serve."""
    port = free_port()
    gateways = [
        Gateway(service="gateway", port=port, folder=folder, settings=settings, address=f"127.0.0.{10 + number}")
        for number in range(3)
    ]
    watchers = [
        ServiceProcess(
            service="watcher", port=number, folder=folder, settings={**settings, "WATCHER_PORT": str(number)}
        )
        for number in (free_port(), free_port())
    ]

    def addresses(name: str) -> Sequence[str]:
        return [one.address for one in gateways if one.running and name in ("gateway", one.name)]

    processes = (*watchers, *gateways)

    async def stop() -> None:
        await asyncio.gather(*(process.stop() for process in processes))

    async with AsyncExitStack() as stack:
        stack.push_async_callback(stop)
        await asyncio.gather(*(process.start() for process in processes))
        resolver_port = await stack.enter_async_context(name_server(addresses))
        nginx = Nginx(folder=folder, port=free_port(), gateway_port=port, resolver_port=resolver_port)
        await stack.enter_async_context(nginx)
        yield Stack(nginx.url, gateways, watchers)
