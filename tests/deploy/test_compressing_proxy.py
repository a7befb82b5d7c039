"""A proxy that compresses the stream of events, as many are configured to: events still arrive at once."""

import asyncio
import os
import shutil
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from services.embedded.ports import free_port
from services.embedded.server import EmbeddedServer
from tests.conftest import RunService

# nginx as its packages set it up: it buffers answers, and the addition compresses all of them.
CONFIGURATION = """
worker_processes 1;
pid {folder}/nginx.pid;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    gzip on; gzip_proxied any; gzip_types text/event-stream application/json; gzip_min_length 1;
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://127.0.0.1:{gateway}; proxy_http_version 1.1; }}
    }}
}}
"""


@dataclass(eq=False, kw_only=True)
class Nginx(EmbeddedServer):
    """An nginx on a port of the loopback."""

    folder: Path
    port: int
    gateway: int
    name: str = "nginx"
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder / "nginx.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def argv(self) -> list[str]:
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        if not Path(program).exists():
            pytest.fail("nginx is missing: install it (Debian: apt-get install nginx-light)")
        path = self.folder / "nginx.conf"
        # Its workers would run as the user nobody, which may not enter the test's folder.
        user = "user root;\n" if os.geteuid() == 0 else ""
        text = CONFIGURATION.format(folder=self.folder, port=self.port, gateway=self.gateway)
        path.write_text(user + text, encoding="utf-8")
        return [program, "-p", str(self.folder), "-c", str(path), "-e", "stderr", "-g", "daemon off;"]

    async def answers(self) -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.get(self.url + "/healthz") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False


@pytest.fixture
async def proxy(mongodb_uri: str, redis_url: str, run_service: RunService, tmp_path: Path) -> AsyncIterator[Nginx]:
    uris = {"MONGODB_URI": mongodb_uri, "REDIS_URL": redis_url}
    await run_service("watcher", uris)
    gateway = await run_service("gateway", uris)
    async with Nginx(folder=tmp_path, port=free_port(), gateway=gateway.port) as nginx:
        yield nginx


async def test_events_arrive_one_by_one_through_a_proxy_that_compresses_them(proxy: Nginx) -> None:
    order = {"customer_name": "Ada", "product_name": "Desk"}
    packed = {"Accept-Encoding": "gzip"}
    async with (
        aiohttp.ClientSession(proxy.url, auto_decompress=False) as session,
        asyncio.timeout(40),
        session.get("/api/orders/events", headers=packed) as stream,
    ):
        assert stream.headers["Cache-Control"] == "no-cache, no-transform"
        unpack = zlib.decompressobj(wbits=31) if stream.headers.get("Content-Encoding") == "gzip" else None
        text = b""

        async def until(word: bytes) -> None:
            nonlocal text
            while word not in text:
                piece = await stream.content.readany()
                assert piece, text
                text += piece if unpack is None else unpack.decompress(piece)

        await until(b"event: connected")
        for number in range(5):  # each is waited for before the next is made, so that none pushes another out
            async with session.post("/api/orders", json={**order, "product_name": f"Desk {number}"}) as made:
                assert made.status == 201
            await until(f"Desk {number}".encode())
