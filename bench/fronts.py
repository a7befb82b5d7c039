"""Load balancers to compare, each in front of one gateway: ours, and nginx."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from bench.contestants import PEERS, ROOT
from bench.cpu import resident_bytes
from services.embedded import ports
from services.embedded.server import EmbeddedServer

OURS = "HAProxy, as delivered"
NGINX = "nginx, as delivered before"
SMALL_NGINX = "nginx, least buffers"
# nginx needs 20 KiB for the longest `Link` of a list; the other figure is the least that gateways' usual answers need.
BUFFERS = {NGINX: "20k", SMALL_NGINX: "4k"}
ALL = (OURS, NGINX, SMALL_NGINX)


@dataclass(eq=False, kw_only=True)
class Front(EmbeddedServer):
    """A load balancer on a port of the loopback; all clients come from one address, so it has no limit for one."""

    name: str
    folder: Path
    gateway: int
    port: int = field(default_factory=ports.free_port)
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder / "front.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def argv(self) -> list[str]:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self._haproxy() if self.name == OURS else self._nginx()

    def env(self) -> Mapping[str, str]:
        return {"PATH": f"{os.environ['PATH']}:/usr/sbin", "TMPDIR": str(self.folder)}

    def cwd(self) -> Path:
        return self.folder

    async def answers(self) -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{self.url}/readyz") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    def workers(self) -> list[int]:
        """Return the processes that serve clients, which are children of the first."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text("utf-8").split()
        names = {int(pid): Path(f"/proc/{pid}/comm").read_text("utf-8").strip() for pid in children}
        return [pid for pid, name in names.items() if name in ("haproxy", "nginx")]

    def memory(self) -> int:
        return sum(resident_bytes(pid) for pid in self.workers())

    def _haproxy(self) -> list[str]:
        shutil.copytree(ROOT / "deploy" / "haproxy", self.folder, dirs_exist_ok=True)
        path = self.folder / "haproxy.cfg"
        text = path.read_text("utf-8")
        replacements = {
            "bind :3000": f"bind 127.0.0.1:{self.port}",
            "bind :8404": f"bind 127.0.0.1:{ports.free_port()}",
            "server-template gateway 32 gateway:3000": f"server gateway1 127.0.0.1:{self.gateway}",
            "setenv RUN /tmp": f"setenv RUN {self.folder}",
            "sc1_conn_cur gt 2000": "sc1_conn_cur gt 100000",
            "sc0_conn_cur gt 1000": "sc0_conn_cur gt 100000",
            "sc0_gpc0_rate ge 2000": "sc0_gpc0_rate ge 100000",
        }
        for old, new in replacements.items():
            if old not in text:
                raise RuntimeError(f"deploy/haproxy/haproxy.cfg has no {old!r} any more")
            text = text.replace(old, new)
        path.write_text(text, "utf-8")
        return ["sh", str(self.folder / "start")]

    def _nginx(self) -> list[str]:
        text = (PEERS / "nginx-front" / "nginx.conf").read_text("utf-8")
        for name, value in (("LISTEN", self.port), ("GATEWAY", self.gateway), ("BUFFER", BUFFERS[self.name])):
            text = text.replace(name, str(value))
        user = "user root;\n" if os.geteuid() == 0 else ""
        (self.folder / "nginx.conf").write_text(user + text, "utf-8")
        return ["nginx", "-p", str(self.folder), "-c", "nginx.conf", "-e", "stderr", "-g", "daemon off;"]


def installed() -> list[str]:
    """Return those whose programs are there."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    return [name for name in ALL if shutil.which("haproxy" if name == OURS else "nginx", path=path)]
