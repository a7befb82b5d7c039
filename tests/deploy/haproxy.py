"""The project's load balancer as a process of this machine, with its own configuration and other addresses."""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from services.embedded.ports import free_port
from services.embedded.server import EmbeddedServer
from tests.deploy.audience import ROOT

DIRECTORY = ROOT / "deploy" / "haproxy"
FILES = ("haproxy.cfg", "gateway_at.lua", "start")


@dataclass(eq=False, kw_only=True)
class HAProxy(EmbeddedServer):
    """HAProxy with the project's configuration; only the addresses and the folder for its files are the test's.

    ``smaller`` replaces text of the configuration: limits that a test can reach. ``certificate`` turns TLS on.
    """

    folder: Path
    gateway_port: int
    resolver_port: int
    port: int = field(default_factory=free_port)
    metrics_port: int = field(default_factory=free_port)
    proxies: Sequence[str] = ()
    smaller: Mapping[str, str] = field(default_factory=dict)
    certificate: Path | None = None
    name: str = "haproxy"
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder / "haproxy.log"
        self._own = self.folder / "haproxy"

    @property
    def url(self) -> str:
        return f"{'http' if self.certificate is None else 'https'}://127.0.0.1:{self.port}"

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self.metrics_port}"

    def argv(self) -> list[str]:
        if shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin") is None:
            pytest.fail("haproxy is missing: install it (Debian: apt-get install haproxy)")
        self.configure()
        return ["sh", str(self._own / "start")]

    def env(self) -> Mapping[str, str]:
        return {
            "PATH": f"{os.environ['PATH']}:/usr/sbin",
            "TMPDIR": str(self.folder),
            "LOADBALANCER_DESCRIPTORS": "20000",
            "TLS": "" if self.certificate is None else "own",
        }

    def configure(self) -> None:
        """Write the project's configuration with this test's addresses in place of its own."""
        self._own.mkdir(exist_ok=True)
        for name in FILES:
            (self._own / name).write_text((DIRECTORY / name).read_text("utf-8"), "utf-8")
        listed = (DIRECTORY / "proxies.txt").read_text("utf-8")
        (self._own / "proxies.txt").write_text("\n".join([listed, *self.proxies, ""]), "utf-8")
        text = (DIRECTORY / "haproxy.cfg").read_text("utf-8")
        replacements = {
            "bind :3000": f"bind 127.0.0.1:{self.port}",
            "bind :8404": f"bind 127.0.0.1:{self.metrics_port}",
            " gateway:3000": f" gateway:{self.gateway_port}",
            "nameserver network 127.0.0.11:53": f"nameserver network 127.0.0.1:{self.resolver_port}",
            "setenv RUN /tmp": f"setenv RUN {self.folder}",
            "/run/tls/certificate.pem": str(self.certificate),
            **self.smaller,
        }
        for old, new in replacements.items():
            assert old in text, f"deploy/haproxy/haproxy.cfg has no {old!r} any more"
            text = text.replace(old, new)
        (self._own / "haproxy.cfg").write_text(text, "utf-8")

    async def answers(self) -> bool:
        """Return whether it listens and knows a gateway that lives."""
        try:
            return any(one["status"] == "UP" for one in await self.servers("living"))
        except OSError:
            return False

    async def servers(self, backend: str) -> list[dict[str, str]]:
        """Return what it says of the servers of a backend."""
        lines = (await self.command("show stat")).removeprefix("# ").splitlines()
        names = lines[0].split(",")
        rows = [dict(zip(names, line.split(","), strict=False)) for line in lines[1:]]
        return [row for row in rows if row["pxname"] == backend and row["svname"].startswith("gateway")]

    async def up(self, backend: str) -> int:
        """Return to how many gateways a backend would give a request."""
        return sum(row["status"].startswith("UP") for row in await self.servers(backend))

    async def command(self, text: str) -> str:
        """Return its answer to a command of its operators."""
        reader, writer = await asyncio.open_unix_connection(str(self.folder / "haproxy.sock"))
        try:
            writer.write(f"{text}\n".encode())
            return (await reader.read()).decode().strip()
        finally:
            writer.close()

    async def info(self, name: str) -> int:
        """Return a figure of the process: `CurrConns`, `Pid`."""
        lines = (await self.command("show info")).splitlines()
        return int(next(line.partition(": ")[2] for line in lines if line.startswith(f"{name}:")))

    async def metrics(self) -> str:
        async with aiohttp.ClientSession() as session, session.get(f"{self.metrics_url}/metrics?no-maint") as response:
            assert response.status == 200
            return await response.text()

    def reload(self) -> None:
        """Read the configuration again."""
        self._current().send(signal.SIGUSR2)

    def lines(self) -> list[dict[str, Any]]:
        """Return what it has logged; each line is JSON."""
        return [json.loads(line) for line in self.log.read_text("utf-8").splitlines()]
