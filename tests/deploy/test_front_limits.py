"""The load balancer's limits for one address, and the headers that tell gateways whose request it is."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from services.embedded.ports import free_port
from services.front.bodies import LONGEST_TARGET
from tests.deploy.haproxy import HAProxy
from tests.deploy.name_server import name_server
from tests.waiting import until

HALF_A_POST = b"POST /api/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n" + b"x" * 30_000
FEW_REQUESTS = {"sc0_gpc0_rate ge 2000": "sc0_gpc0_rate ge 5", "gpc0_rate(6667ms)": "gpc0_rate(100s)"}
FEW_CONNECTIONS = {"sc0_conn_cur gt 1000": "sc0_conn_cur gt 3"}


class Gateway:
    """A server behind the load balancer that answers with its request's headers; it holds requests for `/held`."""

    def __init__(self) -> None:
        self.begun = 0
        self.release = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        if request.path in ("/healthz", "/readyz"):
            return web.Response()
        self.begun += 1
        if request.path == "/held":
            await self.release.wait()
        await request.read()
        names = ("X-Forwarded-For", "X-Forwarded-Proto", "Host")
        link = {"Link": f'<{request.raw_path}>; rel="next"'}
        return web.json_response({name: request.headers.getall(name, []) for name in names}, headers=link)


Start = Callable[..., AbstractAsyncContextManager[tuple[HAProxy, Gateway]]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    @asynccontextmanager
    async def started(
        proxies: Sequence[str] = (), smaller: dict[str, str] | None = None
    ) -> AsyncIterator[tuple[HAProxy, Gateway]]:
        gateway, port = Gateway(), free_port()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", gateway.answer)
        runner = web.AppRunner(app, shutdown_timeout=1, max_line_size=LONGEST_TARGET)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            async with (
                name_server(lambda name: ["127.0.0.1"] if name == "gateway" else []) as resolver,
                HAProxy(
                    folder=tmp_path, gateway_port=port, resolver_port=resolver, proxies=proxies, smaller=smaller or {}
                ) as front,
            ):
                yield front, gateway
        finally:
            gateway.release.set()
            await runner.cleanup()

    return started


async def test_a_body_that_no_gateway_takes_is_refused_as_the_gateway_does(start: Start) -> None:
    async with start() as (front, _), aiohttp.ClientSession() as http:
        for size, status in ((65_536, 200), (65_537, 413)):
            async with http.post(f"{front.url}/other", data=b"x" * size) as response:
                assert response.status == status
                if status == 413:
                    assert response.content_type == "application/problem+json"
                    assert (await response.json(content_type=None))["status"] == 413


async def test_addresses_pass_as_they_are_and_as_long_as_gateways_take_them(start: Start) -> None:
    """Nothing but the address tells of which order it is, and the list answers with one that is as long."""
    async with start() as (front, _), aiohttp.ClientSession(max_field_size=20_000) as http:
        for path in ("/api/orders/a%2Fb%2f%20%3F%25", "/api/orders/x%2F%2Fy%C3%BC;z", "/api/orders?after="):
            address = path + "x" * (LONGEST_TARGET - len(path))
            async with http.get(URL(front.url + address, encoded=True)) as response:
                assert response.status == 200
                assert response.headers["Link"] == f'<{address}>; rel="next"'


@pytest.mark.timeout(60)
async def test_clients_that_stop_in_the_middle_fill_no_disk_and_are_dropped(start: Start, tmp_path: Path) -> None:
    async with start() as (front, gateway):
        said = [b"", b"GET / HTTP/1.1\r\nHost: loc", *[HALF_A_POST] * 50]
        connections = [await asyncio.open_connection("127.0.0.1", front.port) for _ in said]
        for (_, writer), data in zip(connections, said, strict=True):
            writer.write(data)
            await writer.drain()
        folders = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")

        def written() -> int:
            files = (file for name in folders for file in (tmp_path / name).rglob("*") if file.is_file())
            return sum(file.stat().st_size for file in files)

        await until(lambda: gateway.begun == 50, "the gateway has all of them, to bound them itself")
        assert written() == 0
        async with asyncio.timeout(30):  # after ten seconds; without a limit it is sixty
            for reader, _ in connections:
                while await _read(reader):
                    pass
        for _, writer in connections:
            writer.transport.abort()


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(65_536)
    except ConnectionResetError:
        return b""


async def statuses(front: HAProxy, count: int, client: str = "") -> list[int]:
    headers = {"X-Forwarded-For": client} if client else {}
    found = []
    async with aiohttp.ClientSession(headers=headers) as http:
        for _ in range(count):
            async with http.get(f"{front.url}/") as response:
                found.append(response.status)
                if response.status == 429:
                    assert response.content_type == "application/problem+json"
                    assert response.headers["Retry-After"] == "5"
    return found


async def test_one_address_that_asks_for_too_much_is_slowed_down_alone(start: Start) -> None:
    async with start(["127.0.0.1"], FEW_REQUESTS) as (front, _):
        assert await statuses(front, 7, "203.0.113.7") == [200] * 5 + [429] * 2
        assert await statuses(front, 5, "203.0.113.8") == [200] * 5


async def test_all_addresses_of_an_ipv6_network_count_as_one(start: Start) -> None:
    async with start(["127.0.0.1"], FEW_REQUESTS) as (front, _):
        found = [await statuses(front, 1, f"2001:db8:0:a0a::{number:x}") for number in range(7)]
        assert found == [[200]] * 5 + [[429]] * 2
        assert await statuses(front, 5, "2001:db8:0:a0b::1") == [200] * 5


async def test_one_address_holds_so_many_requests_at_once_and_no_more(start: Start) -> None:
    async with start(["127.0.0.1"], FEW_CONNECTIONS) as (front, gateway), aiohttp.ClientSession() as http:
        mine = {"X-Forwarded-For": "203.0.113.7"}
        held = [asyncio.create_task(_status(http, f"{front.url}/held", mine)) for _ in range(3)]
        await until(lambda: gateway.begun == 3, "three requests are held")
        assert await _status(http, front.url, mine) == 429
        assert await _status(http, front.url, {"X-Forwarded-For": "203.0.113.8"}) == 200
        gateway.release.set()
        assert await asyncio.gather(*held) == [200] * 3


async def _status(http: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> int:
    async with http.get(url, headers=headers) as response:
        return response.status


@pytest.mark.parametrize(
    ("proxies", "claimed", "address", "scheme"),
    [
        ([], {}, "127.0.0.1", []),
        ([], {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}, "127.0.0.1", []),
        (["127.0.0.1"], {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}, "203.0.113.7", ["https"]),
        (["127.0.0.1"], {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "http"}, "203.0.113.7", ["http"]),
        (["127.0.0.1"], {"X-Forwarded-For": "1.1.1.1, 203.0.113.7", "X-Forwarded-Proto": "no"}, "203.0.113.7", []),
        (["127.0.0.1"], {"X-Forwarded-For": "203.0.113.7, 127.0.0.1"}, "203.0.113.7", []),
        (["127.0.0.1"], {"X-Forwarded-For": "203.0.113.7:4711"}, "203.0.113.7", []),
        (["127.0.0.1"], {"X-Forwarded-For": "[2001:db8::1]:443"}, "2001:db8::1", []),
    ],
)
async def test_users_behind_a_proxy_that_is_known_keep_their_address(
    start: Start, proxies: list[str], claimed: dict[str, str], address: str, scheme: list[str]
) -> None:
    headers = {**claimed, "Host": "shop.example"}
    async with (
        start(proxies) as (front, _),
        aiohttp.ClientSession() as http,
        http.get(front.url, headers=headers) as response,
    ):
        told = await response.json()
        assert told == {"X-Forwarded-For": [address], "X-Forwarded-Proto": scheme, "Host": ["shop.example"]}
        assert "Server" not in response.headers
