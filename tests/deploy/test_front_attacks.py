"""What the load balancer makes of clients that do what they should not, and how much of it they cost."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic

import aiohttp
import pytest

from bench.cpu import resident_bytes
from tests.deploy.stand_ins import Balanced, stand_ins
from tests.unit.websocket_client import handshake
from tests.waiting import HANGS, until

IDLE = 1000
MOST_KIB_PER_CLIENT = 8.0  # measured: 6.2; nginx took 18
HALF_A_POST = b"POST /api/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n" + b"x" * 30_000
UPGRADE = handshake()
STREAM = b"GET /api/orders/events HTTP/1.1\r\nHost: localhost\r\n\r\n"


@asynccontextmanager
async def connection(
    balanced: Balanced, address: str = "127.0.0.1"
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", balanced.front.port, local_addr=(address, 0))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def all_of(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(1 << 20)
    except ConnectionResetError:
        return b""


async def exchange(balanced: Balanced, data: bytes) -> bytes:
    """Return all that it answers until it closes."""
    async with connection(balanced) as (reader, writer), asyncio.timeout(HANGS):
        writer.write(data)
        found = b""
        while piece := await all_of(reader):
            found += piece
        return found


async def anonymous_kib(balanced: Balanced) -> float:
    """Return the memory of the process that serves clients."""
    return resident_bytes(await balanced.front.info("Pid")) / 1024


@pytest.mark.parametrize(("request_", "answer"), [(UPGRADE, b"101"), (STREAM, b"200")], ids=["websocket", "sse"])
async def test_an_idle_client_takes_little_memory(tmp_path: Path, request_: bytes, answer: bytes) -> None:
    enough = {"sc0_conn_cur gt 1000": "sc0_conn_cur gt 9000"}
    async with stand_ins(tmp_path, smaller=enough) as balanced, AsyncExitStack() as stack:

        async def open_some(count: int) -> None:
            for _ in range(count):
                reader, writer = await stack.enter_async_context(connection(balanced))
                writer.write(request_)
                assert answer in await reader.readuntil(b"\r\n")

        await open_some(200)  # what each thread takes once
        before = await anonymous_kib(balanced)
        await open_some(IDLE)
        taken = (await anonymous_kib(balanced) - before) / IDLE
        assert taken < MOST_KIB_PER_CLIENT


async def test_clients_that_stop_in_the_middle_are_dropped_and_cost_others_nothing(tmp_path: Path) -> None:
    async with stand_ins(tmp_path) as balanced, AsyncExitStack() as stack, aiohttp.ClientSession() as http:
        said = [*[b""] * 20, *[b"GET / HTTP/1.1\r\nHost: loc"] * 100, *[HALF_A_POST] * 50]
        readers = []
        for data in said:
            reader, writer = await stack.enter_async_context(connection(balanced))
            writer.write(data)
            readers.append(reader)
        for number in range(20):
            async with http.get(f"{balanced.url}/{number}") as response:
                assert response.status == 200
        async with asyncio.timeout(30):  # after ten seconds
            for reader in readers:
                while await all_of(reader):
                    pass


async def test_the_beginning_of_a_stream_is_passed_on_at_once(tmp_path: Path) -> None:
    """The fastest of ten, as the machine may be busy; each takes 200 ms where the kernel waits for more."""
    async with stand_ins(tmp_path) as balanced:
        taken = []
        for _ in range(10):
            async with connection(balanced) as (reader, writer):
                started = monotonic()
                writer.write(STREAM)
                await reader.readuntil(b"data: gateway-10\n\n")
                taken.append(monotonic() - started)
        assert min(taken) < 0.1


async def test_a_quiet_stream_outlives_the_limits_for_stalled_clients(tmp_path: Path) -> None:
    """The limit of ten seconds is for requests and for clients that do not read."""
    smaller = {"timeout client 10s": "timeout client 1s", "timeout http-request 10s": "timeout http-request 1s"}
    async with (
        stand_ins(tmp_path, smaller=smaller) as balanced,
        aiohttp.ClientSession(balanced.url) as http,
        http.get("/api/orders/events") as stream,
        http.ws_connect("/socket.io/?EIO=4&transport=websocket") as socket,
    ):
        held = asyncio.create_task(_status(http, "/held"))
        await asyncio.sleep(3)
        await socket.send_str("still there")
        assert await socket.receive_str(timeout=HANGS) == "still there"
        balanced.gateways[0].release.set()
        assert b"released" in await stream.content.read()
        assert await held == 200


async def _status(http: aiohttp.ClientSession, path: str) -> int:
    async with http.get(path) as response:
        return response.status


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 6\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 6",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked\r\nContent-Length: 6",
        "Transfer-Encoding : chunked",
        "Content-Length: 6\r\nContent-Length: 60",
        "Content-Length: +6",
        "Content-Length: 6,6",
        "X: y\r\n folded: z\r\nContent-Length: 6",
        "X: a\nTransfer-Encoding: chunked\r\nContent-Length: 6",
        "Content_Length: 60\r\nContent-Length: 6",
    ],
)
async def test_no_request_is_hidden_in_another(tmp_path: Path, head: str) -> None:
    hidden = "0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n"
    async with stand_ins(tmp_path) as balanced:
        request = f"POST /seen HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{head}\r\n\r\n{hidden}"
        answer = await exchange(balanced, request.encode())
        (gateway,) = balanced.gateways
        assert ("GET", "/hidden") not in gateway.seen
        assert answer.count(b"HTTP/1.1 ") == 1
        assert gateway.seen in ([], [("POST", "/seen")])


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 2000 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GARBAGE\r\n\r\n",
    ],
    ids=["a long header", "a long URL", "many headers", "two hosts", "a null byte", "no HTTP"],
)
async def test_what_is_no_proper_request_is_refused_and_reaches_nobody(tmp_path: Path, request_: bytes) -> None:
    async with stand_ins(tmp_path) as balanced:
        answer = await exchange(balanced, request_)
        assert b" 400 " in answer.split(b"\r\n")[0]
        assert b"haproxy" not in answer.lower()
        assert balanced.gateways[0].seen == []


async def test_one_address_opens_so_many_connections_and_no_more(tmp_path: Path) -> None:
    # Those that are let in say nothing, and must not be closed for it before the last has come.
    patient = {"timeout client 10s": "timeout client 60s", "timeout http-request 10s": "timeout http-request 60s"}
    async with (
        stand_ins(tmp_path, smaller=patient) as balanced,
        AsyncExitStack() as stack,
        aiohttp.ClientSession() as http,
    ):
        open_: list[asyncio.StreamReader] = []
        refused = 0
        for _ in range(2100):
            try:
                reader, _writer = await stack.enter_async_context(connection(balanced, "127.0.0.2"))
                open_.append(reader)
            except ConnectionResetError:
                refused += 1
        await until(lambda: refused + _closed(open_) == 100, "those beyond 2,000 are closed")
        async with http.get(balanced.url) as response:
            assert response.status == 200


def _closed(open_: list[asyncio.StreamReader]) -> int:
    return sum(reader.at_eof() or reader.exception() is not None for reader in open_)


async def test_only_failures_are_logged_without_what_may_be_private(tmp_path: Path) -> None:
    async with stand_ins(tmp_path) as balanced, aiohttp.ClientSession() as http:
        await http.get(f"{balanced.url}/fine?secret=1")
        await exchange(balanced, b"GARBAGE\r\n\r\n")
        await http.post(f"{balanced.url}/large?secret=2", data=b"x" * 70_000)
        await http.post(f"{balanced.url}/broken?secret=3")
        balanced.gateways[0].status = 404
        await http.get(f"{balanced.url}/a%22b%5C?secret=4")
        await until(lambda: len(_requests(balanced)) >= 4, "four failures are logged")
        found = [(line["method"], line["path"], line["status"]) for line in _requests(balanced)]
        assert found == [
            ("-", "-", 400),
            ("POST", "/large", 413),
            ("POST", "/broken", 502),
            ("GET", "/a%22b%5C", 404),
        ]
        assert all(line["client"] == "127.0.0.1" for line in _requests(balanced))
        assert "secret" not in json.dumps(balanced.front.lines())
        balanced.gateways[0].ready = False
        await until(
            lambda: any("rest/gateway1 is DOWN" in line["event"] for line in balanced.front.lines()),
            "a change of state is logged",
        )


def _requests(balanced: Balanced) -> list[dict[str, object]]:
    return [line for line in balanced.front.lines() if line["event"] == "Request failed"]


async def test_metrics_are_for_operators_and_leave_out_places_for_gateways_that_do_not_run(tmp_path: Path) -> None:
    async with stand_ins(tmp_path, 2) as balanced, aiohttp.ClientSession() as http:
        text = await balanced.front.metrics()
        for name in ("haproxy_process_current_connections", "haproxy_frontend_http_responses_total"):
            assert f"\n{name}" in text
        assert 'haproxy_server_status{proxy="rest",server="gateway1",state="UP"} 1' in text
        assert "gateway9" not in text
        async with http.get(f"{balanced.front.metrics_url}/healthz") as response:
            assert response.status == 200
        await http.get(f"{balanced.url}/metrics")
        assert ("GET", "/metrics") in balanced.gateways[0].seen, "at the public port, it is a request like any other"
