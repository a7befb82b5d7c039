"""A real Prometheus with the shipped rules, and the services that it is to find."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from services.embedded.server import EmbeddedServer
from tests.alerts.rules import SHIPPED, shortened

_CONFIGURATION = """\
global: {scrape_interval: 1s, scrape_timeout: 900ms, evaluation_interval: 1s}
rule_files: [alerts.yml, replicas.yml]
scrape_configs:
  - job_name: gateway
    file_sd_configs: [{files: [gateway.json], refresh_interval: 1s}]
  - job_name: watcher
    file_sd_configs: [{files: [watcher.json], refresh_interval: 1s}]
  - job_name: loadbalancer
    file_sd_configs: [{files: [loadbalancer.json], refresh_interval: 1s}]
"""
_REPLICAS = (SHIPPED / "replicas.yml").read_text("utf-8")


@dataclass(eq=False, kw_only=True)
class Prometheus(EmbeddedServer):
    """It scrapes each second; files in its folder take the place of Docker's DNS as the list of what there is."""

    folder: Path
    port: int
    gateways: int
    name: str = "Prometheus"
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / "prometheus.log"
        replicas = _REPLICAS.replace("vector(1)", f"vector({self.gateways})", 1)  # the first is the gateways'
        texts = {
            "prometheus.yml": _CONFIGURATION,
            "alerts.yml": shortened((SHIPPED / "alerts.yml").read_text("utf-8")),
            "replicas.yml": replicas,
        }
        for name, text in texts.items():
            (self.folder / name).write_text(text, "utf-8")

    def argv(self) -> list[str]:
        program = shutil.which("prometheus")
        if program is None:
            raise RuntimeError("prometheus is missing: install it (Debian: apt-get install prometheus)")
        return [
            program,
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
        ]

    async def answers(self) -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{self._url}/-/ready") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    def find(self, job: str, urls: Sequence[str]) -> None:
        """Let it find these services from now on."""
        targets = [{"targets": [url.removeprefix("http://") for url in urls]}]
        new = self.folder / f".{job}.new"
        new.write_text(json.dumps(targets), "utf-8")
        new.replace(self.folder / f"{job}.json")  # at once, or it would read half a file

    async def firing(self) -> set[str]:
        """Return the names of the alerts that fire now."""
        alerts = (await self._get("alerts"))["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    async def active(self) -> set[str]:
        """Return the names of the alerts that fire or are about to."""
        return {alert["labels"]["alertname"] for alert in (await self._get("alerts"))["alerts"]}

    async def query(self, expression: str) -> list[float]:
        """Return the present values of an expression."""
        found = (await self._get("query", query=expression))["result"]
        return [float(series["value"][1]) for series in found]

    async def _get(self, what: str, **parameters: str) -> dict[str, Any]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self._url}/api/v1/{what}", params=parameters) as response,
        ):
            body: dict[str, Any] = await response.json()
        assert body["status"] == "success", body
        data: dict[str, Any] = body["data"]
        return data

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self.port}"
