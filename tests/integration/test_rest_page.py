"""The page and the browser's client as files over HTTP."""

import asyncio
import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from services.front.checks import add_headers_to_all
from services.gateway.http.headers import add_security_headers
from services.gateway.http.page import WebPage
from tests.integration.rest_api import Client
from tests.waiting import HANGS


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
    library = tmp_path / "library"
    library.mkdir()
    (library / "index.js").write_text('export * from "./rows.js";')
    (library / "index.d.ts").write_text("export {};")
    app = web.Application()
    add_headers_to_all(app, add_security_headers)
    app.add_routes(WebPage(web_folder, client_folder, tmp_path / "library").routes())
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
        ("/clients/live-orders/index.js", "text/javascript"),
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
        "/clients/live-orders/../../secret.js",
        "/clients/live-orders/..%2f..%2fsecret.js",
        "/clients/live-orders/index.d.ts",
        "/clients/live-orders/",
    ],
)
async def test_nothing_else_is_shown(site: tuple[Client, Path], address: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site[0].port)  # as written: clients tidy paths up
    writer.write(f"GET {address} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), HANGS)
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


INDEX = """<!doctype html>
<html lang="en">
  <head>
    <link rel="icon" href="icon.svg" type="image/svg+xml" />
    <link rel="stylesheet" href="one.css" />
    <link rel="stylesheet" href="two.css" />
    <script type="module" src="main.js"></script>
  </head>
  <body></body>
</html>
"""


@pytest.fixture
async def bundled(tmp_path: Path) -> AsyncIterator[tuple[Client, Path]]:
    """A page of several files, as ours is written."""
    web_folder, client_folder = tmp_path / "web", tmp_path / "dist"
    for folder in (web_folder, client_folder):
        folder.mkdir()
    files = {
        "index.html": INDEX,
        "icon.svg": "<svg/>",
        "one.css": "a { top: 0 }",
        "two.css": "/* why */ b { top: 0 }",
        "main.js": 'import { a } from "./a.js";\nimport("/vendor/socket.io.esm.min.js").then(a);\n',
        "a.js": f"export const a = {'1 + ' * 1000} 1;\n",
    }
    for name, text in files.items():
        (web_folder / name).write_text(text)
    (client_folder / "socket.io.esm.min.js").write_text("export const io = 1;\n//# sourceMappingURL=x.map\n")
    app = web.Application()
    app.add_routes(WebPage(web_folder, client_folder, tmp_path / "library").routes())
    async with TestClient(TestServer(app), auto_decompress=False) as client:
        yield client, web_folder


async def test_the_page_comes_as_few_files_that_are_kept_for_ever(bundled: tuple[Client, Path]) -> None:
    client, _ = bundled
    index = await (await client.get("/", headers={"Accept-Encoding": "identity"})).text()
    addresses = set(re.findall(r'"(/[^"]+)"', index))
    kinds = sorted(re.sub(r"-[0-9a-f]{16}", "", address) for address in addresses)
    assert kinds == [f"/assets/{name}" for name in ("icon.svg", "page.css", "page.js", "socket.io.esm.min.js")]
    assert "one.css" not in index
    assert index.count('rel="modulepreload"') == 2
    for address in addresses:
        reply = await client.get(address, headers={"Accept-Encoding": "gzip"})
        assert reply.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert reply.headers["Content-Encoding"] == "gzip"
        plain = await client.get(address, headers={"Accept-Encoding": "br, gzip;q=0"})
        assert "Content-Encoding" not in plain.headers
        assert plain.headers["Vary"] == "Accept-Encoding"
        assert gzip.decompress(await reply.read()) == await plain.read()
    script = await (await client.get(next(a for a in addresses if "page-" in a and a.endswith(".js")))).read()
    client_address = next(address for address in addresses if "socket.io" in address)
    assert client_address in gzip.decompress(script).decode()


async def test_another_content_has_another_address(bundled: tuple[Client, Path], tmp_path: Path) -> None:
    client, web_folder = bundled
    (web_folder / "a.js").write_text("export const a = 2;\n")
    app = web.Application()
    app.add_routes(WebPage(web_folder, tmp_path / "none", tmp_path / "none").routes())
    async with TestClient(TestServer(app)) as other:
        plain = {"Accept-Encoding": "identity"}
        pages = [await (await each.get("/", headers=plain)).text() for each in (client, other)]
        old, new = [re.search(r"/assets/page-\w+\.js", page) for page in pages]
        assert old
        assert new
        assert old[0] != new[0]
        # A replica that is being replaced gives what it has, but nobody may keep that under this address.
        reply = await client.get(new[0])
        assert (reply.status, reply.headers["Cache-Control"]) == (200, "no-store")
        assert (await client.get("/assets/page-0000.js")).status == 404
        assert (await client.get("/assets/other-0123456789abcdef.js")).status == 404


async def test_an_unchanged_page_is_not_sent_again(bundled: tuple[Client, Path]) -> None:
    client, _ = bundled
    reply = await client.get("/")
    assert reply.headers["Cache-Control"] == "no-cache"
    for tag in (reply.headers["ETag"], f"W/{reply.headers['ETag']}", f'"x", {reply.headers["ETag"]}'):
        assert (await client.get("/", headers={"If-None-Match": tag})).status == 304
    assert (await client.get("/", headers={"If-None-Match": '"x"'})).status == 200


async def test_the_page_may_use_modules_of_the_client_library(bundled: tuple[Client, Path], tmp_path: Path) -> None:
    _, web_folder = bundled
    library = tmp_path / "src"
    library.mkdir()
    (library / "shared.js").write_text("export const shared = 'of the library';\n")
    address = "../clients/js/src/shared.js"
    (web_folder / "main.js").write_text(f'import {{ shared }} from "{address}";\nconsole.log(shared);\n')
    app = web.Application()
    app.add_routes(WebPage(web_folder, tmp_path / "none", library).routes())
    async with TestClient(TestServer(app)) as client:
        script = re.search(r'src="(/assets/page-\w+\.js)"', await (await client.get("/")).text())
        assert script is not None
        assert "of the library" in await (await client.get(script[1])).text()
        # As a browser asks for it that loads the modules one by one, from `/main.js` on.
        alone = await client.get("/clients/js/src/shared.js")
        assert "of the library" in await alone.text()

    (web_folder / "main.js").write_text('import { a } from "../clients/js/src/../../secret.js";\n')
    app = web.Application()
    app.add_routes(WebPage(web_folder, tmp_path / "none", library).routes())
    async with TestClient(TestServer(app)) as client:
        assert await (await client.get("/")).text() == INDEX, "a module from elsewhere is not put into the page"


async def test_a_page_that_is_written_otherwise_is_served_file_by_file(
    bundled: tuple[Client, Path], tmp_path: Path
) -> None:
    _, web_folder = bundled
    (web_folder / "main.js").write_text("export default 1;\n")
    app = web.Application()
    app.add_routes(WebPage(web_folder, tmp_path / "none", tmp_path / "none").routes())
    async with TestClient(TestServer(app)) as client:
        assert await (await client.get("/")).text() == INDEX
        assert (await client.get("/main.js")).status == 200
