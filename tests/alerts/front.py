"""A real HAProxy in front of the gateways, with backends named as in ours and limits that a few clients reach."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from services.embedded.ports import free_port
from services.embedded.server import EmbeddedServer

PLACES = 20
REQUESTS = 50  # of one address in a second

_CONFIGURATION = """\
global
    maxconn {places}
defaults
    mode http
    timeout connect 1s
    timeout client 60s
    timeout server 60s
    balance leastconn
    option httpchk GET /readyz
    default-server check inter 500ms fall 1 rise 1
frontend public
    bind 127.0.0.1:{port}
    http-request track-sc0 src table requests
    http-request deny deny_status 429 if {{ sc0_http_req_rate gt {requests} }}
    use_backend streams if {{ path /api/orders/events }}
    default_backend rest
backend rest
{servers}
backend streams
{servers}
backend requests
    stick-table type ip size 1k expire 10s store http_req_rate(1s)
frontend metrics
    bind 127.0.0.1:{metrics_port}
    http-request use-service prometheus-exporter if {{ path /metrics }}
"""


@dataclass(eq=False, kw_only=True)
class HAProxy(EmbeddedServer):
    """It balances between these gateways."""

    folder: Path
    port: int
    gateways: Sequence[str]
    metrics_port: int = field(default_factory=free_port)
    name: str = "HAProxy"
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / "haproxy.log"
        addresses = [url.removeprefix("http://") for url in self.gateways]
        servers = "\n".join(f"    server gateway-{number} {address}" for number, address in enumerate(addresses))
        text = _CONFIGURATION.format(
            places=PLACES, port=self.port, requests=REQUESTS, servers=servers, metrics_port=self.metrics_port
        )
        (self.folder / "haproxy.cfg").write_text(text, "utf-8")

    def argv(self) -> list[str]:
        return [shutil.which("haproxy") or "/usr/sbin/haproxy", "-db", "-f", str(self.folder / "haproxy.cfg")]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self.metrics_port}"

    async def answers(self) -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{self.metrics_url}/metrics") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False
