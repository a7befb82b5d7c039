"""The load balancer asks gateways that are ready, and sends what may have an effect once."""

import asyncio
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from tests.deploy.stand_ins import Balanced, StandIn, stand_ins
from tests.waiting import until, within

SOON = {"timeout server 8s": "timeout server 1s"}
STREAMS = ("/api/orders/events", "/socket.io/?EIO=4&transport=polling")


async def all_up(balanced: Balanced) -> None:
    count = len(balanced.gateways)
    for backend in ("rest", "streams", "living"):
        await until(partial(_is, balanced, backend, count), f"{count} gateways are up for {backend}")


async def _is(balanced: Balanced, backend: str, count: int) -> bool:
    return await balanced.front.up(backend) == count


async def served_by(http: aiohttp.ClientSession, url: str, headers: dict[str, str] | None = None) -> str:
    async with http.get(url, headers=headers) as response:
        assert response.status == 200, await response.text()
        if response.content_type == "text/event-stream":
            return (await response.content.readline()).decode().removeprefix("data: ").strip()
        name: str = (await response.json())["gateway"]
        return name


async def test_addresses_where_nobody_listens_yet_cost_no_request(tmp_path: Path) -> None:
    """Docker lists a container in DNS before its process listens; five of six are such."""
    async with stand_ins(tmp_path) as balanced, aiohttp.ClientSession() as http:
        balanced.names["gateway"] += [f"127.0.0.{50 + number}" for number in range(5)]
        refused = []
        for number in range(1000):
            method = "POST" if number % 2 else "GET"
            async with http.request(method, f"{balanced.url}/{number}") as response:
                if response.status != 200:
                    refused.append((number, response.status))
            await asyncio.sleep(0.002)
        assert refused == []
        (gateway,) = balanced.gateways
        assert sorted(gateway.seen, key=lambda one: int(one[1][1:])) == [
            ("POST" if number % 2 else "GET", f"/{number}") for number in range(1000)
        ]


async def test_each_kind_of_request_goes_where_it_is_taken(tmp_path: Path) -> None:
    async with stand_ins(tmp_path, 3) as balanced, aiohttp.ClientSession() as http:
        first, second, third = balanced.gateways
        await all_up(balanced)
        first.ready = False
        second.takes_streams = False
        await until(lambda: _is(balanced, "rest", 2), "one is not ready for requests")
        await until(lambda: _is(balanced, "streams", 2), "one is not ready for streams")
        assert {await served_by(http, f"{balanced.url}/api/orders") for _ in range(40)} == {second.name, third.name}
        for path in STREAMS:
            assert {await served_by(http, balanced.url + path) for _ in range(40)} == {first.name, third.name}
        headers = {"Accept": "text/event-stream, application/json;q=0.5"}
        found = {await served_by(http, f"{balanced.url}/api/orders", headers) for _ in range(40)}
        assert found == {first.name, third.name}, "a list and its changes"


async def test_what_no_gateway_is_ready_for_is_answered_by_one_that_lives(tmp_path: Path) -> None:
    async with stand_ins(tmp_path, 2) as balanced, aiohttp.ClientSession() as http:
        for gateway in balanced.gateways:
            gateway.ready = gateway.takes_streams = False
        for backend in ("rest", "streams"):
            await until(partial(_is, balanced, backend, 0), "none is ready")
        names = {gateway.name for gateway in balanced.gateways}
        for path in ("/api/orders", *STREAMS):
            assert {await served_by(http, balanced.url + path) for _ in range(20)} == names


async def test_streams_that_no_gateway_is_ready_for_go_to_those_that_take_requests(tmp_path: Path) -> None:
    """Most likely Redis is away; a draining gateway, which is not ready for anything, must not get them."""
    async with stand_ins(tmp_path, 2, smaller=SOON) as balanced, aiohttp.ClientSession() as http:
        draining, other = balanced.gateways
        draining.ready = draining.takes_streams = other.takes_streams = False
        await until(lambda: _is(balanced, "rest", 1), "one takes requests")
        await until(lambda: _is(balanced, "streams", 0), "none takes streams")
        for path in STREAMS:
            assert {await served_by(http, balanced.url + path) for _ in range(20)} == {other.name}
        async with http.get(balanced.url + STREAMS[0]) as stream:
            await asyncio.sleep(2)  # longer than a request may take
            other.release.set()
            assert b"released" in await stream.content.read()


async def test_without_any_gateway_the_answer_says_so_and_when_to_come_back(tmp_path: Path) -> None:
    async with stand_ins(tmp_path) as balanced, aiohttp.ClientSession() as http:
        balanced.names.clear()
        await until(lambda: _is(balanced, "living", 0), "none is listed")

        async def is_told(path: str) -> None:
            async with within(6), http.get(balanced.url + path) as response:
                assert response.status == 503
                assert response.content_type == "application/problem+json"
                assert (await response.json(content_type=None))["detail"] == "No gateway answers."
                assert response.headers["Retry-After"] == "1"

        paths = ("/api/orders", *STREAMS, "/socket.io/?EIO=4&transport=polling&sid=x.gateway-10")
        await asyncio.gather(*(is_told(path) for path in paths))


async def test_a_request_waits_for_a_gateway_that_appears_a_moment_later(tmp_path: Path) -> None:
    async with stand_ins(tmp_path) as balanced, aiohttp.ClientSession() as http:
        known = dict(balanced.names)
        balanced.names.clear()
        await until(lambda: _is(balanced, "living", 0), "none is listed")
        waiting = asyncio.create_task(served_by(http, f"{balanced.url}/api/orders"))
        await asyncio.sleep(0.5)
        balanced.names.update(known)
        assert await waiting == "gateway-10"


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/broken", 502, "The gateway failed; it may have executed the request."),
        ("/silent", 504, "The gateway did not answer in time; it may have executed the request."),
    ],
)
async def test_a_request_whose_outcome_is_unknown_is_not_sent_again(
    tmp_path: Path, path: str, status: int, detail: str
) -> None:
    async with stand_ins(tmp_path, 3, smaller=SOON) as balanced, aiohttp.ClientSession() as http:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            async with http.request(method, balanced.url + path, data=b"x") as response:
                assert response.status == status
                assert (await response.json(content_type=None))["detail"] == detail
        seen = [request for gateway in balanced.gateways for request in gateway.seen]
        assert sorted(seen) == sorted((method, path) for method in ("POST", "PUT", "DELETE", "PATCH"))


async def test_a_frozen_gateway_costs_reading_requests_time_and_no_answer(tmp_path: Path) -> None:
    async with stand_ins(tmp_path, 2, smaller=SOON) as balanced, aiohttp.ClientSession() as http:
        await all_up(balanced)
        balanced.gateways[0].frozen = True
        found = await asyncio.gather(*(served_by(http, f"{balanced.url}/{number}") for number in range(50)))
        assert set(found) == {balanced.gateways[1].name}
        await until(lambda: _is(balanced, "rest", 1), "it gets no requests any more")


async def test_a_gateway_that_has_just_become_full_passes_new_streams_on(tmp_path: Path) -> None:
    async with stand_ins(tmp_path, 2) as balanced, aiohttp.ClientSession() as http:
        await all_up(balanced)
        balanced.gateways[0].status = 503
        url = f"{balanced.url}/socket.io/?EIO=4&transport=polling"
        assert {await served_by(http, url) for _ in range(20)} == {balanced.gateways[1].name}
        assert balanced.gateways[0].seen, "it was asked"


async def test_checks_cost_a_gateway_a_few_requests_a_second(tmp_path: Path) -> None:
    async with stand_ins(tmp_path, 2) as balanced:
        await all_up(balanced)
        before = [gateway.checks for gateway in balanced.gateways]
        await asyncio.sleep(4)
        assert all(gateway.checks - was <= 4 * 3 for gateway, was in zip(balanced.gateways, before, strict=True))


@pytest.mark.parametrize("sid", ["x.gateway-11", "%78.gateway-11"])
async def test_a_session_reaches_its_gateway_ready_or_not(tmp_path: Path, sid: str) -> None:
    async with stand_ins(tmp_path, 3) as balanced, aiohttp.ClientSession() as http:
        await all_up(balanced)
        gateway = balanced.gateways[1]
        gateway.ready = gateway.takes_streams = gateway.alive = False  # it drains, and is too busy to answer in time
        await until(lambda: _is(balanced, "living", 2), "its gateway is not expected to live")
        for _ in range(10):
            assert await served_by(http, f"{balanced.url}/socket.io/?EIO=4&transport=polling&sid={sid}") == "gateway-11"


@pytest.mark.parametrize(
    "sid",
    [
        *(
            "x.elsewhere",
            "x.gateway-99",
            "x.localhost",
            "x.127.0.0.60",
            "x",
            "",
            ".",
            "x.",
            ".gateway-10",
            "x..gateway-10",
        ),
        *(
            "x.elsewhere.",
            "x.else%00where",
            "x.elsewhere%0d%0aHost:%20y",
            f"x.{'y' * 63}",
            f"x.{'y' * 64}",
            "x." * 2000,
        ),
        *("x.%67ateway", "%", "x.[::1]", "x.0x7f000001", "x.2130706433", "x.%E2%98%83", "x.gateway%2D10:1"),
    ],
)
async def test_no_session_id_reaches_anything_but_a_gateway(tmp_path: Path, sid: str) -> None:
    """DNS may know more hosts than gateways, the load balancer itself among them."""
    async with stand_ins(tmp_path) as balanced, aiohttp.ClientSession() as http:
        elsewhere = StandIn("127.0.0.60", balanced.gateways[0].port)
        balanced.names |= {"elsewhere": [elsewhere.address], "localhost": [elsewhere.address]}
        async with elsewhere.listening():
            url = f"{balanced.url}/socket.io/?EIO=4&transport=polling&sid={sid}"
            async with within(2):
                assert await served_by(http, url) == "gateway-10"
        assert elsewhere.seen == []


async def test_a_session_whose_gateway_has_crashed_is_told_by_another_at_once(tmp_path: Path) -> None:
    """DNS lists a crashed container for a moment, and its address refuses connections."""
    async with stand_ins(tmp_path, 2) as balanced, aiohttp.ClientSession() as http:
        balanced.names["gateway"].append("127.0.0.50")
        balanced.names["gateway-50"] = ["127.0.0.50"]
        await asyncio.sleep(2)  # it has been seen in DNS
        async with within(1):
            for transport in ("polling", "websocket"):
                url = f"{balanced.url}/socket.io/?EIO=4&transport={transport}&sid=x.gateway-50"
                assert await served_by(http, url) in ("gateway-10", "gateway-11")
