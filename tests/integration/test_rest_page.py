"""The page and the browser's client as files over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from services.gateway.http.headers import add_security_headers
from services.gateway.http.page import WebPage
from tests.integration.rest_api import Client


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[tuple[Client, Path]]:
    """A web folder with files to show and files to hide, and a client folder that is still empty."""
    web_folder, client_folder = tmp_path / "web", tmp_path / "dist"
    client_folder.mkdir()
    (tmp_path / "secret.js").write_text("secret")
    files = {
        "index.html": "<!doctype html><title>Orders</title>",
        "app.js": "export {};",
        "style.css": "body {}",
        "parts/row.js": "export {};",
        ".hidden.js": "secret",
        ".git/config.js": "secret",
        "node_modules/x/x.js": "secret",
        "notes.txt": "secret",
    }
    for name, text in files.items():
        path = web_folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (web_folder / "link.js").symlink_to(tmp_path / "secret.js")
    app = web.Application()
    app.on_response_prepare.append(add_security_headers)
    app.add_routes(WebPage(web_folder, client_folder).routes())
    async with TestClient(TestServer(app)) as client:
        yield client, tmp_path


@pytest.mark.parametrize(
    ("address", "type"),
    [
        ("/", "text/html"),
        ("/index.html", "text/html"),
        ("/app.js", "text/javascript"),
        ("/style.css", "text/css"),
        ("/parts/row.js", "text/javascript"),
    ],
)
async def test_each_file_comes_with_its_type_and_is_asked_for_again(
    site: tuple[Client, Path], address: str, type: str
) -> None:
    reply = await site[0].get(address)
    assert (reply.status, reply.content_type) == (200, type)
    assert reply.headers["Cache-Control"] == "no-cache"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    again = await site[0].get(address, headers={"If-None-Match": reply.headers["ETag"]})
    assert again.status == 304


async def test_the_page_may_load_nothing_from_elsewhere(site: tuple[Client, Path]) -> None:
    policy = (await site[0].get("/")).headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize(
    "address",
    [
        "/.hidden.js",
        "/.git/config.js",
        "/node_modules/x/x.js",
        "/notes.txt",
        "/link.js",
        "/parts",
        "/parts/",
        "/../secret.js",
        "/parts/../../secret.js",
        "/%2e%2e/secret.js",
        "/..%2fsecret.js",
        "/parts/%2e%2e%2f%2e%2e%2fsecret.js",
        "//secret.js",
        "/app.js%00.html",
        "/vendor/../secret.js",
    ],
)
async def test_nothing_else_is_shown(site: tuple[Client, Path], address: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site[0].port)  # as written: clients tidy paths up
    writer.write(f"GET {address} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await writer.wait_closed()
    assert answer.split()[1] in {b"404", b"400"}
    assert b"secret" not in answer.partition(b"\r\n\r\n")[2]


async def test_the_socketio_client_is_served_once_it_is_installed(site: tuple[Client, Path]) -> None:
    client, folder = site
    assert (await client.get("/vendor/socket.io.esm.min.js")).status == 404
    (folder / "dist" / "socket.io.esm.min.js").write_text("export const io = 1;")
    reply = await client.get("/vendor/socket.io.esm.min.js")
    assert (reply.status, reply.content_type) == (200, "text/javascript")
