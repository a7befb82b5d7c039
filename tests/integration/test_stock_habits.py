"""Features that users of comparable servers take for granted, on a whole gateway."""

import gzip
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from tests.integration.rest_api import JOHN
from tests.running_product import RunningProduct, product_on
from tests.servers import Servers
from tests.service_process import ServiceProcess

OURS = "https://shop.example"
JSON = {"Content-Type": "application/json"}
CLIENTS = ("socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(session_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServiceProcess]:
    async with product_on(session_servers, tmp_path_factory.mktemp("gateway"), RunningProduct) as product:
        await product.start("watcher")
        yield await product.start("gateway", CORS_ORIGINS=OURS)


@pytest.fixture
async def http(gateway: ServiceProcess) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(gateway.url) as session:
        yield session


async def test_an_order_is_pending_unless_it_says_otherwise(http: aiohttp.ClientSession) -> None:
    for given, stored in (({}, "pending"), ({"status": "shipped"}, "shipped")):
        body = {"customer_name": "Ada", "product_name": "Desk", **given}
        async with http.post("/api/orders", json=body) as reply:
            assert (reply.status, (await reply.json())["status"]) == (201, stored)


async def test_a_byte_order_mark_before_json_is_ignored(http: aiohttp.ClientSession) -> None:
    body = "\ufeff" + '{"customer_name": "Ada", "product_name": "Desk"}'
    async with http.post("/api/orders", data=body.encode(), headers=JSON) as reply:
        assert reply.status == 201
    async with http.post("/api/orders", data=("\ufeff" + body).encode(), headers=JSON) as reply:
        assert reply.status == 400


async def test_the_socketio_client_is_where_every_server_has_it(http: aiohttp.ClientSession) -> None:
    for name in (*CLIENTS, *(f"{name}.map" for name in CLIENTS)):
        async with http.get(f"/socket.io/{name}") as reply:
            assert reply.status == 200, name
            assert reply.content_type == ("application/json" if name.endswith(".map") else "text/javascript")
            tag = reply.headers["ETag"]
            assert len(await reply.read()) > 10_000
        async with http.get(f"/socket.io/{name}", headers={"If-None-Match": tag}) as reply:
            assert reply.status == 304, name


RANGES = {
    "lines=1": 200,
    "lines=1-2": 200,
    "bytes": 200,
    "bytes=": 200,
    "bytes=-": 200,
    "bytes=x-y": 200,
    "bytes=5-2": 200,
    "bytes=0-1,5-6": 200,  # of several parts all may be sent
    "bytes=0-9": 206,
    "bytes=-9": 206,
    "bytes=99999999-": 416,
}


async def test_only_a_range_of_bytes_is_heeded(http: aiohttp.ClientSession) -> None:
    for asked, status in RANGES.items():
        async with http.get("/socket.io/socket.io.js", headers={"Range": asked}) as reply:
            assert reply.status == status, asked
        async with http.get("/api/orders", headers={"Range": asked}) as reply:
            assert reply.status == 200, asked


async def test_a_gateway_on_localhost_answers_at_both_of_its_addresses(gateway: ServiceProcess) -> None:
    for host in ("127.0.0.1", "[::1]", "localhost"):
        async with aiohttp.ClientSession() as session, session.get(f"http://{host}:{gateway.port}/healthz") as reply:
            assert reply.status == 200, host


@pytest.mark.parametrize(
    ("path", "method", "asked"),
    [
        ("/socket.io/?EIO=4&transport=polling", "GET", "authorization"),
        ("/socket.io/?EIO=4&transport=polling", "POST", "authorization,content-type"),
        ("/api/orders/events", "GET", "authorization,cache-control,last-event-id"),
        ("/api/orders", "POST", "authorization,content-type"),
    ],
)
async def test_a_listed_origin_may_authorize_itself_everywhere(
    http: aiohttp.ClientSession, path: str, method: str, asked: str
) -> None:
    headers = {
        "Origin": OURS,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": asked,
    }
    async with http.options(path, headers=headers) as reply:
        assert (reply.status, reply.headers["Access-Control-Allow-Origin"]) == (204, OURS)
        granted = {name.strip().lower() for name in reply.headers["Access-Control-Allow-Headers"].split(",")}
        assert {*asked.split(",")} <= granted
    async with http.options(path, headers={**headers, "Origin": "https://other.example"}) as reply:
        assert reply.status == 403
        assert "Access-Control-Allow-Origin" not in reply.headers
    if method == "GET":
        sent = {"Origin": OURS, "Authorization": "Bearer x", "Last-Event-ID": ""}
        async with http.get(path, headers=sent) as reply:
            assert reply.status == 200
            assert reply.headers.getall("Access-Control-Allow-Origin") == [OURS]
            assert "Access-Control-Allow-Credentials" not in reply.headers


async def test_the_stream_forbids_proxies_to_change_it(http: aiohttp.ClientSession) -> None:
    async with http.get("/api/orders/events", headers={"Accept-Encoding": "gzip"}) as reply:
        assert reply.headers["Cache-Control"] == "no-cache, no-transform"
        assert reply.headers["X-Accel-Buffering"] == "no"
        assert "Content-Encoding" not in reply.headers


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        ("/api/orders", {**JSON, "Content-Encoding": "gzip"}, b"no gzip at all", 415),
        ("/api/orders", {**JSON, "Content-Encoding": "br"}, b"x", 415),
        ("/api/orders", {**JSON, "Content-Encoding": "gzip"}, gzip.compress(b"{}", mtime=0), 415),
        ("/api/orders", JSON, b'{"\\ud800": 1, "\\ud800": 2}', 422),
        ("/api/orders?" + "x" * 17_000, {}, None, 414),
    ],
)
async def test_a_clients_fault_is_answered_as_a_problem_and_logged_nowhere(
    http: aiohttp.ClientSession,
    gateway: ServiceProcess,
    path: str,
    headers: dict[str, str],
    body: bytes | None,
    status: int,
) -> None:
    before = gateway.output
    for _ in range(5):
        async with http.request("GET" if body is None else "POST", path, data=body, headers=headers) as reply:
            assert (reply.status, reply.content_type) == (status, "application/problem+json")
    async with http.post("/api/orders", json=JOHN) as reply:
        assert reply.status == 201
    assert gateway.output == before
