"""The load balancer's limits for one address, and the headers that tell gateways whose request it is."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from services.front.bodies import LONGEST_TARGET
from tests.deploy.stand_ins import Balanced, stand_ins
from tests.waiting import until, within

FEW_REQUESTS = {"sc0_gpc0_rate ge 2000": "sc0_gpc0_rate ge 5", "_rate(6667ms)": "_rate(100s)"}
FEW_CONNECTIONS = {"sc0_conn_cur gt 1000": "sc0_conn_cur gt 3"}


Start = Callable[..., AbstractAsyncContextManager[Balanced]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    def started(
        proxies: Sequence[str] = (), smaller: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[Balanced]:
        return stand_ins(tmp_path, proxies=proxies, smaller=smaller)

    return started


async def test_a_body_that_no_gateway_takes_is_refused_as_the_gateway_does(start: Start) -> None:
    async with start() as balanced, aiohttp.ClientSession() as http:
        for size, status in ((65_536, 200), (65_537, 413)):
            async with http.post(f"{balanced.url}/other", data=b"x" * size) as response:
                assert response.status == status
                if status == 413:
                    assert response.content_type == "application/problem+json"
                    assert (await response.json(content_type=None))["status"] == 413


async def test_addresses_pass_as_they_are_and_as_long_as_gateways_take_them(start: Start) -> None:
    """Nothing but the address tells of which order it is, and the list answers with one that is as long."""
    async with start() as balanced, aiohttp.ClientSession(max_field_size=20_000) as http:
        for path in ("/api/orders/a%2Fb%2f%20%3F%25", "/api/orders/x%2F%2Fy%C3%BC;z", "/api/orders?after="):
            address = path + "x" * (LONGEST_TARGET - len(path))
            async with http.get(URL(balanced.url + address, encoded=True)) as response:
                assert response.status == 200
                assert response.headers["Link"] == f'<{address}>; rel="next"'


async def test_a_body_in_pieces_is_passed_on_for_the_gateway_to_bound(start: Start) -> None:
    """Its length is not known before it ends; gateways bound it themselves."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 1000

    async with (
        start() as balanced,
        aiohttp.ClientSession() as http,
        http.post(f"{balanced.url}/other", data=pieces()) as response,
    ):
        assert response.status == 200


async def test_answers_are_compressed_and_streams_are_not(start: Start) -> None:
    packed = {"Accept-Encoding": "gzip"}
    async with start() as balanced, aiohttp.ClientSession() as http:
        async with http.get(balanced.url, headers=packed) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            assert "Accept-Encoding" in response.headers["Vary"]
        async with http.get(f"{balanced.url}/api/orders/events", headers=packed) as response:
            assert "Content-Encoding" not in response.headers
            assert await response.content.readline() == b"data: gateway-10\n"


async def statuses(balanced: Balanced, count: int, client: str = "", path: str = "/") -> list[int]:
    headers = {"X-Forwarded-For": client} if client else {}
    found = []
    async with aiohttp.ClientSession(headers=headers) as http:
        for _ in range(count):
            async with http.get(f"{balanced.url}{path}") as response:
                found.append(response.status)
                if response.status == 429:
                    assert response.content_type == "application/problem+json"
                    assert response.headers["Retry-After"] == "5"
    return found


async def test_one_address_that_asks_for_too_much_is_slowed_down_alone(start: Start) -> None:
    async with start(["127.0.0.1"], FEW_REQUESTS) as balanced:
        assert await statuses(balanced, 7, "203.0.113.7") == [200] * 5 + [429] * 2
        assert await statuses(balanced, 5, "203.0.113.8") == [200] * 5


async def test_polling_sessions_have_more_requests_since_they_ask_once_for_every_change(start: Start) -> None:
    session = "/socket.io/?EIO=4&transport=polling&sid=any.gateway"
    async with start(["127.0.0.1"], {**FEW_REQUESTS, "sc0_gpc1_rate ge 20000": "sc0_gpc1_rate ge 9"}) as balanced:
        found = await statuses(balanced, 11, "203.0.113.7", session)
        assert [status == 429 for status in found] == [False] * 9 + [True] * 2
        assert await statuses(balanced, 5, "203.0.113.7") == [200] * 5


async def test_all_addresses_of_an_ipv6_network_count_as_one(start: Start) -> None:
    async with start(["127.0.0.1"], FEW_REQUESTS) as balanced:
        found = [await statuses(balanced, 1, f"2001:db8:0:a0a::{number:x}") for number in range(7)]
        assert found == [[200]] * 5 + [[429]] * 2
        assert await statuses(balanced, 5, "2001:db8:0:a0b::1") == [200] * 5


async def test_one_address_holds_so_many_requests_at_once_and_no_more(start: Start) -> None:
    async with start(["127.0.0.1"], FEW_CONNECTIONS) as balanced, aiohttp.ClientSession() as http:
        mine = {"X-Forwarded-For": "203.0.113.7"}
        held = [asyncio.create_task(_status(http, f"{balanced.url}/held", mine)) for _ in range(3)]
        await until(lambda: len(balanced.gateways[0].seen) == 3, "three requests are held")
        assert await _status(http, balanced.url, mine) == 429
        assert await _status(http, balanced.url, {"X-Forwarded-For": "203.0.113.8"}) == 200
        balanced.gateways[0].release.set()
        assert await asyncio.gather(*held) == [200] * 3


async def _status(http: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> int:
    async with http.get(url, headers=headers) as response:
        return response.status


@pytest.mark.parametrize(
    ("proxies", "claimed", "address", "scheme"),
    [
        ([], {}, "127.0.0.1", []),
        (["127.0.0.1", "198.51.100.0/24"], {"X-Forwarded-For": "203.0.113.7, 198.51.100.9"}, "203.0.113.7", []),
        (
            ["127.0.0.1", "198.51.100.0/24"],
            {"X-Forwarded-For": "198.51.100.1, 203.0.113.7, 198.51.100.8, 198.51.100.9"},
            "203.0.113.7",
            [],
        ),
        (["127.0.0.1"], {"X-Forwarded-For": "unknown"}, "127.0.0.1", []),
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
        start(proxies) as balanced,
        aiohttp.ClientSession() as http,
        http.get(balanced.url, headers=headers) as response,
    ):
        told = await response.json()
        del told["gateway"]
        assert told == {"X-Forwarded-For": [address], "X-Forwarded-Proto": scheme, "Host": ["shop.example"]}
        assert "Server" not in response.headers


async def test_where_it_is_full_the_writes_of_its_clients_still_have_room(start: Start) -> None:
    places = {'fd-hard-limit "${LOADBALANCER_DESCRIPTORS}"': "maxconn 20", '"${LOADBALANCER_CLIENTS}"': "18"}
    async with start(["127.0.0.1"], places) as balanced, aiohttp.ClientSession() as http:
        async with http.post(f"{balanced.url}/other", data=b"x") as response:
            assert response.status == 200
        host, port = balanced.url.removeprefix("http://").split(":")
        writers = []
        for _ in range(30):  # more than are let in
            writers.append((await asyncio.open_connection(host, port))[1])
            writers[-1].write(b"GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await until(lambda: len(balanced.gateways[0].seen) > 17, "it is full")
        async with within(5), http.post(f"{balanced.url}/other", data=b"x") as response:
            assert response.status == 200
        for writer in writers:
            writer.close()


async def test_it_lets_in_fewer_clients_than_it_has_places_for(start: Start) -> None:
    async with (
        start() as balanced,
        aiohttp.ClientSession() as http,
        http.get(f"{balanced.front.metrics_url}/metrics") as response,
    ):
        text = await response.text()
    found = re.findall(
        r'^haproxy_(?:process_max_connections|frontend_limit_sessions{proxy="public"}) (\d+)', text, re.MULTILINE
    )
    let_in, places = sorted(map(int, found))
    assert 0.9 * places < let_in < 0.95 * places


async def test_names_that_no_gateway_has_are_looked_up_a_few_times_for_one_address(tmp_path: Path) -> None:
    few = {"sc2_gpc0_rate lt 300": "sc2_gpc0_rate lt 5", "_rate(6667ms)": "_rate(100s)"}
    async with stand_ins(tmp_path, 2, smaller=few) as balanced:
        stranger = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))
        async with aiohttp.ClientSession(connector=stranger) as http, aiohttp.ClientSession() as other:
            for number in range(20):
                async with http.get(f"{balanced.url}/socket.io/?sid=x.stranger-{number}") as response:
                    assert response.status == 200  # of any gateway
            assert len([name for name in balanced.asked if name.startswith("stranger")]) == 5
            for _ in range(10):
                for gateway in balanced.gateways:
                    async with other.get(f"{balanced.url}/socket.io/?sid=x.{gateway.name}") as response:
                        assert (await response.json())["gateway"] == gateway.name
