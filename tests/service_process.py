"""A service of ours as a process of its own: started, polled on /readyz, stopped, killed, restarted."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from services.embedded.ports import free_port
from services.embedded.server import EmbeddedServer
from tests.waiting import HANGS

ROOT = Path(__file__).resolve().parent.parent


@dataclass(eq=False, kw_only=True)
class ServiceProcess(EmbeddedServer):
    """`python -m services.<service>` with `settings` as its environment, run in `folder` so that no `.env` is read.

    It may open so many ``descriptors``, where that is given, as its hard limit.

    `start` returns when /readyz for operators answers 200: all works; `launch` does not wait. The output of all its
    runs is in `log`.
    """

    service: str
    port: int
    folder: Path
    settings: Mapping[str, str]
    descriptors: int | None = None
    admin_port: int = field(default_factory=free_port)  # of a gateway; a watcher's only port is the operators'
    name: str = field(init=False)
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.service
        self.log = self.folder / f"{self.service}-{self.port}.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin_url(self) -> str:
        """The address for operators: readiness in detail and metrics."""
        return self.url if self.service == "watcher" else f"http://127.0.0.1:{self.admin_port}"

    @property
    def output(self) -> str:
        """Everything that it has written so far."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def argv(self) -> list[str]:
        service = [sys.executable, "-m", f"services.{self.service}"]
        if self.descriptors is None:
            return service
        return ["sh", "-c", f'ulimit -n {self.descriptors}; exec "$@"', "sh", *service]

    def env(self) -> Mapping[str, str]:
        return {
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "ADMIN_PORT": str(self.admin_port),
            "DRAIN_DELAY_SECONDS": "0",  # no load balancer is to notice
            **self.settings,
        }

    def cwd(self) -> Path:
        return self.folder

    async def answers(self) -> bool:
        return await self.status("/readyz", self.admin_url) == 200

    async def status(self, path: str, url: str | None = None) -> int | None:
        """Return the HTTP status of a GET, at the public port unless `url` is another; None while it is closed."""
        timeout = aiohttp.ClientTimeout(total=HANGS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get((url or self.url) + path) as response,
            ):
                return response.status
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def metric(self, sample: str) -> float:
        """Return the figure of a sample that is written like this, or 0 where there is none."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.admin_url}/metrics") as response:
            for line in (await response.text()).splitlines():
                name, _, value = line.rpartition(" ")
                if name == sample:
                    return float(value)
        return 0.0
