"""A stranger's page, whose browser sends that page's host or origin, reaches nothing, on any route."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from services.gateway.edge.incidents import IncidentKind
from tests.e2e.conftest import Product
from tests.running_product import RunningProduct, product_on
from tests.servers import Servers
from tests.service_process import ServiceProcess
from tests.unit.websocket_client import UPGRADE
from tests.waiting import HANGS

JSON = "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
# Each with the lines after the Host header.
ROUTES = {
    "page": ("GET /", "\r\n"),
    "script": ("GET /app.js", "\r\n"),
    "list": ("GET /api/orders", "\r\n"),
    "one": ("GET /api/orders/6b0344000000000000000000", "\r\n"),
    "create": ("POST /api/orders", JSON),
    "change": ("PUT /api/orders/6b0344000000000000000000", JSON),
    "delete": ("DELETE /api/orders/6b0344000000000000000000", "\r\n"),
    "events": ("GET /api/orders/events", "\r\n"),
    "docs": ("GET /api/docs", "\r\n"),
    "openapi": ("GET /api/openapi.json", "\r\n"),
    "health": ("GET /healthz", "\r\n"),
    "readiness": ("GET /readyz", "\r\n"),
    "nothing": ("GET /nothing", "\r\n"),
    "no method": ("PATCH /api/orders", "\r\n"),
    "polling": ("GET /socket.io/?EIO=4&transport=polling", "\r\n"),
    "polling, sent": ("POST /socket.io/?EIO=4&transport=polling&sid=x", "Content-Length: 1\r\n\r\n1"),
    "websocket": ("GET /socket.io/?EIO=4&transport=websocket", f"{UPGRADE.decode()}\r\n"),
    "websocket, by aiohttp": ("GET /socket.io/?EIO=4&transport=websocket&x=%41", f"{UPGRADE.decode()}\r\n"),
}
OTHERS = [
    "evil.example",
    "evil.example:{port}",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "203.0.113.7",
    "0.0.0.0:{port}",
    "2130706433",
]
OURS = [
    "127.0.0.1:{port}",
    "localhost",
    "LocalHost:{port}",
    "localhost.",
    "[::1]:{port}",
    "app.localhost",
    "127.0.0.1",
]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(session_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServiceProcess]:
    """One for the whole table; nothing here changes it."""
    async with product_on(session_servers, tmp_path_factory.mktemp("strangers"), RunningProduct) as product:
        await product.start("watcher")
        yield await product.start("gateway")


async def answer(gateway: ServiceProcess, request: str) -> tuple[int, dict[str, str]]:
    """Send a request as written; return the status and the headers of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        writer.write(request.encode())
        async with asyncio.timeout(HANGS):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
    finally:
        writer.transport.abort()
    status, *lines = head.split("\r\n")[:-2]
    return int(status.split()[1]), {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


def asking(route: str, *headers: str, version: str = "HTTP/1.1", target: str = "") -> str:
    start, rest = ROUTES[route]
    if target:
        method, path = start.split(" ")
        start = f"{method} {target}{path}"
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"{start} {version}\r\n{lines}{rest}"


@pytest.mark.parametrize("route", ROUTES)
async def test_no_route_answers_under_another_host(gateway: ServiceProcess, route: str) -> None:
    for host in OTHERS:
        status, headers = await answer(gateway, asking(route, f"Host: {host.format(port=gateway.port)}"))
        assert status == 421, host
        problem = headers["content-type"].startswith("application/problem+json")
        assert problem == ROUTES[route][0].split()[1].startswith("/api/")


@pytest.mark.parametrize("route", ROUTES)
async def test_every_route_answers_under_names_of_this_machine(gateway: ServiceProcess, route: str) -> None:
    for host in OURS:
        status, _ = await answer(gateway, asking(route, f"Host: {host.format(port=gateway.port)}"))
        assert status != 421, host
        assert status != 403, host


@pytest.mark.parametrize("route", ROUTES)
async def test_a_host_that_is_missing_given_twice_or_none_is_a_bad_request(gateway: ServiceProcess, route: str) -> None:
    for headers in ([], ["Host:"], ["Host: localhost", "Host: localhost"], ["Host: a b"], ["Host: localhost,evil"]):
        status, _ = await answer(gateway, asking(route, *headers))
        assert status == 400, headers


@pytest.mark.parametrize("route", ["page", "list", "events", "polling", "delete"])
async def test_the_host_in_the_request_line_counts_too(gateway: ServiceProcess, route: str) -> None:
    for target, host, refused in (
        ("http://evil.example", "localhost", True),
        ("http://localhost", "evil.example", True),
        ("http://localhost", "localhost", False),
        ("http://[::1]:80", "localhost", False),
    ):
        status, _ = await answer(gateway, asking(route, f"Host: {host}", target=target))
        assert (status == 421) == refused, (target, host)


async def test_a_health_check_that_speaks_http_1_0_needs_no_host(gateway: ServiceProcess) -> None:
    assert (await answer(gateway, asking("readiness", version="HTTP/1.0")))[0] == 200


@pytest.mark.parametrize("route", ROUTES)
async def test_no_page_of_another_origin_is_served(gateway: ServiceProcess, route: str) -> None:
    host = f"Host: localhost:{gateway.port}"
    for origin in ("https://evil.example", "null", "http://localhost", f"http://localhost:{gateway.port}.evil.example"):
        status, _ = await answer(gateway, asking(route, host, f"Origin: {origin}"))
        assert status == 403, origin
    own = f"Origin: http://localhost:{gateway.port}"
    assert (await answer(gateway, asking(route, host, own)))[0] not in {403, 421}
    assert (await answer(gateway, asking(route, host, own, "Origin: https://evil.example")))[0] in {400, 403}


@pytest.mark.parametrize(
    ("host", "origin"),
    [("localhost:80", "http://localhost"), ("localhost", "http://localhost:80"), ("LOCALHOST", "http://localhost")],
)
async def test_default_ports_and_case_make_no_other_origin(gateway: ServiceProcess, host: str, origin: str) -> None:
    for route in ("websocket", "polling", "events", "list"):
        status, _ = await answer(gateway, asking(route, f"Host: {host}", f"Origin: {origin}"))
        assert status in {101, 200}, route


async def test_no_answer_tells_versions(gateway: ServiceProcess) -> None:
    host = "Host: localhost"
    requests = [asking(route, host) for route in ROUTES] + [asking(route, "Host: evil.example") for route in ROUTES]
    garbage = ["\x16\x03\x01\r\n\r\n", "GET\r\n\r\n"]
    broken = [*garbage, f"GET / HTTP/9.9\r\n{host}\r\n\r\n", f"GET / HTTP/1.1\r\n{host}\r\nA\r\n\r\n"]
    for request in (*requests, *broken):
        _, headers = await answer(gateway, request)
        assert "server" not in headers, request
        assert "aiohttp" not in str(headers).lower()


async def test_strangers_learn_no_address_name_or_figure(gateway: ServiceProcess) -> None:
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{gateway.url}/readyz") as response:
            assert json.loads(await response.text()) == {"status": "ready"}
        async with http.get(f"{gateway.url}/metrics") as response:
            assert response.status == 404
        async with http.get(f"{gateway.url}/api/orders/events") as response:
            hello = (await response.content.readuntil(b"\n\n")).decode()
            assert socket.gethostname() not in hello
        async with http.get(f"{gateway.admin_url}/readyz") as response:
            checks = json.loads(await response.text())["checks"]
            assert checks == dict.fromkeys(("mongodb", "collection", "redis", "gateway"), "ok")


async def test_refusals_are_counted_and_the_host_that_may_be_ours_is_logged_once(gateway: ServiceProcess) -> None:
    for _ in range(3):
        await answer(gateway, asking("websocket", "Host: shop.example"))
    async with aiohttp.ClientSession() as http, http.get(f"{gateway.admin_url}/metrics") as response:
        assert f'kind="{IncidentKind.HOST_REFUSED}"' in await response.text()
    assert gateway.output.count("add it to ALLOWED_HOSTS") == 1


@pytest.mark.asyncio(loop_scope="function")
async def test_names_that_are_allowed_are_answered_and_elsewhere_than_on_loopback_addresses_too(
    product: Product,
) -> None:
    await product.watcher()
    gateway = await product.gateway(
        HOST="0.0.0.0", AUTH_NONE_ON_PUBLIC="yes", ALLOWED_HOSTS="shop.example, *.shop.example"
    )
    for host, status in (
        ("shop.example", 101),
        ("SHOP.example.:443", 101),
        ("eu.shop.example", 101),
        ("203.0.113.7", 101),
        ("[2001:db8::1]:3000", 101),
        ("evil.example", 421),
        ("shop.example.evil.example", 421),
    ):
        assert (await answer(gateway, asking("websocket", f"Host: {host}")))[0] == status, host
    assert gateway.output.count("There is no sign-in: anyone who can reach this address") == 1


@pytest.mark.asyncio(loop_scope="function")
async def test_behind_a_proxy_that_ends_tls_the_scheme_of_a_page_counts(product: Product) -> None:
    await product.watcher()
    gateway = await product.gateway(TRUSTED_PROXIES="127.0.0.0/8", ALLOWED_HOSTS="shop.example")
    for said, origin, status in (
        ("https", "https://shop.example", 101),
        ("https", "https://shop.example:443", 101),
        ("wss", "https://shop.example", 101),
        ("https", "http://shop.example", 403),
        ("http", "https://shop.example", 403),
        (None, "https://shop.example", 101),  # no trusted proxy reports the client's scheme
        (None, "http://shop.example", 101),
    ):
        headers = ["Host: shop.example", f"Origin: {origin}"] + ([f"X-Forwarded-Proto: {said}"] if said else [])
        assert (await answer(gateway, asking("websocket", *headers)))[0] == status, (said, origin)
        expected = 200 if status == 101 else status
        assert (await answer(gateway, asking("events", *headers)))[0] == expected, (said, origin)
