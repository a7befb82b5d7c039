"""The event stream for curl and other programs without a browser."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from services.common.cursor import Cursor, Position
from tests.e2e.clients import curl, run
from tests.e2e.conftest import Orders, Product
from tests.service_process import ServiceProcess
from tests.unit.websocket_client import handshake
from tests.waiting import HANGS, until

EVENTS = "/api/orders/events"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
SSE_REQUEST = f"GET {EVENTS} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
CONNECT = b"\x81\x82\0\0\0\x0040"
PONG = b"\x81\x81\0\0\0\x003"


async def insert(orders: Orders, count: int = 1, text: str = "") -> list[str]:
    return [str((await orders.insert_one({"status": "pending", "text": text})).inserted_id) for _ in range(count)]


@asynccontextmanager
async def raw(
    gateway: ServiceProcess, request: str
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Send a request as written."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, limit=1024)
    writer.write(request.encode())
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def metric(gateway: ServiceProcess, name: str) -> float:
    """Return the sum of a metric's values."""
    text = await run("curl", "-s", f"{gateway.admin_url}/metrics")
    lines = [line for line in text.splitlines() if line.startswith(name) and not line.startswith(f"{name}_created")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


async def test_a_stream_goes_on_after_the_cursor_that_it_is_given(product: Product) -> None:
    await product.watcher()
    gateway = await product.gateway()
    url = gateway.url + EVENTS
    async with curl(url) as stream:
        hello = stream.said[0]
        assert hello["name"] == "connected"
        assert hello["id"] == hello["args"][0]["cursor"]
        ids = await insert(product.orders, 3)
        told = await stream.has(3)
        assert [each["id"] for each in told] == ids
    first, second = told[0]["cursor"], told[1]["cursor"]
    epoch = Cursor.parse(first).epoch
    cases: list[tuple[str, list[str], list[str], list[str]]] = [
        (f"{url}?since={first}", [], ids[1:], []),
        (url, ["-H", f"Last-Event-ID: {first}"], ids[1:], []),
        (f"{url}?since={first}", ["-H", f"Last-Event-ID: {second}"], ids[2:], []),
        # polyfills that cannot set the header reconnect with a parameter, in addition to those of the page
        (f"{url}?lastEventId={first}", [], ids[1:], []),
        (f"{url}?since={first}&lastEventId={second}", [], ids[2:], []),
        (f"{url}?Last-Event-ID={second}", [], ids[2:], []),
        (f"{url}?evs_last_event_id={second}&since={first}", [], ids[2:], []),
        (f"{url}?since={first}&lastEventId=", [], ids[1:], []),
        (f"{url}?lastEventId={first}", ["-H", f"Last-Event-ID: {second}"], ids[2:], []),
        (f"{url}?since=nonsense", [], [], ["invalid_cursor"]),
        (f"{url}?since={Cursor('other', Position(1, 0))}", [], [], ["epoch_unknown"]),
        (f"{url}?since={Cursor(epoch, Position.end_of(2**64 - 1))}", [], [], []),
    ]
    for address, arguments, expected, reasons in cases:
        async with curl(address, *arguments) as stream:
            await stream.has(len(expected))
            assert [each["id"] for each in stream.updates] == expected
            await until(lambda: len(stream.named("resync")) == len(reasons), "resync")  # noqa: B023
            assert [each["reason"] for each in stream.named("resync")] == reasons


async def test_the_stream_is_plain_http_of_either_version_and_answers_wrong_methods(product: Product) -> None:
    await product.watcher()
    gateway = await product.gateway(SSE_HEARTBEAT_SECONDS="0.2")
    async with raw(gateway, f"GET {EVENTS} HTTP/1.1\r\nHost: localhost\r\n\r\n") as (reader, _):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert head.startswith("http/1.1 200")
        for header in (
            "content-type: text/event-stream",
            "cache-control: no-cache",
            "x-accel-buffering: no",
            "transfer-encoding: chunked",
        ):
            assert header in head
        assert b"retry: " in await reader.readuntil(b"\n\n")
        await insert(product.orders)
        assert b"event: orderUpdate" in await reader.readuntil(b"orderUpdate")
        await reader.readuntil(b"\n\n\r\n")
        mark = (await reader.readuntil(b"\n\n\r\n")).partition(b"\r\n")[2]
        assert mark.startswith(b"id: ")
        assert mark.count(b"\n") == 3  # a heartbeat is the id alone: it shows the client nothing
    async with raw(gateway, f"GET {EVENTS} HTTP/1.0\r\n\r\n") as (reader, _):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert "transfer-encoding" not in head
        assert (await reader.readline()).startswith(b"retry: ")
        await reader.readuntil(b"event: connected\n")
        await insert(product.orders)
        await reader.readuntil(b"event: orderUpdate\n")
    for method, status in (
        ("HEAD", b"200"),
        ("POST", b"405"),
        ("PUT", b"405"),
        ("DELETE", b"405"),
        ("OPTIONS", b"204"),
    ):
        async with raw(gateway, f"{method} {EVENTS} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n") as (
            reader,
            _,
        ):
            answer = await asyncio.wait_for(reader.read(65536), HANGS)
            assert answer.split()[1] == status, method
            assert method == "HEAD" or b"\r\nAllow: GET, HEAD, OPTIONS\r\n" in answer


async def test_a_query_that_would_be_ignored_in_part_is_refused_as_a_list_refuses_it(product: Product) -> None:
    await product.watcher()
    gateway = await product.gateway()
    for query, field in (
        (f"status={'x' * 201}", "status"),
        ("status=lost", "status"),
        ("status=", "status"),
        ("customer=Ada", "customer"),
        ("customer_name=", "customer_name"),
        ("since=a&since=b", "since"),
        ("lastEventId=a&last-event-id=b", "last-event-id"),
        (f"{'x' * 1000}=1", "x" * 100),
    ):
        out = json.loads(await run("curl", "-s", "-m", f"{HANGS}", f"{gateway.url}{EVENTS}?{query}"))
        assert out["status"] == 422, query
        assert (out["errors"][0]["in"], out["errors"][0]["field"]) == ("query", field)
    for target in (b"customer_name=\xff", b"\xff=1"):
        request = b"GET " + EVENTS.encode() + b"?" + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(request)
        assert (await reader.readline()).split()[1] in (b"400", b"422"), target
        writer.transport.abort()
    assert "failed" not in gateway.output


async def test_a_client_that_leaves_makes_room_at_once_without_any_event(product: Product) -> None:
    await product.watcher()
    gateway = await product.gateway(MAX_CONNECTIONS_PER_ADDRESS="2", SSE_HEARTBEAT_SECONDS="600")
    url = gateway.url + EVENTS
    async with curl(url), curl(url):
        refused = await run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %header{retry-after}", url)
        assert refused == "429 5"

    async def room() -> bool:
        async with raw(gateway, f"GET {EVENTS} HTTP/1.1\r\nHost: localhost\r\n\r\n") as (reader, _):
            return (await reader.readline()).split()[1] == b"200"

    await until(room, "there is room again", 5)


async def test_readers_that_stand_still_are_dropped_and_cost_no_memory(product: Product) -> None:
    """Among them a websocket that answers pings that it has never read."""
    await product.watcher()
    gateway = await product.gateway(CLIENT_BUFFER_BYTES="8192", CLIENT_STALL_SECONDS="1", RING_EVENTS="20")
    async with curl(gateway.url + EVENTS) as good:
        streams = [_frozen(gateway.port, SSE_REQUEST) for _ in range(3)]
        sockets = [_frozen(gateway.port, handshake()) for _ in range(3)]
        memory = _resident(gateway.pid)
        count = 0

        async def dropped() -> bool:
            nonlocal count
            for each in sockets:
                with suppress(OSError):
                    each.send(PONG if count else CONNECT)
            await product.orders.insert_many([{"text": "x" * 20_000} for _ in range(100)])
            count += 100
            return await metric(gateway, 'orders_gateway_incidents_total{kind="slow_consumer"}') >= 6

        await until(dropped, "the frozen ones are dropped", 40)
        await good.has(count)
        assert _resident(gateway.pid) - memory < 40 << 20
        for each in (*streams, *sockets):
            each.close()


def _frozen(port: int, request: bytes) -> socket.socket:
    """Connect and send a request, and never read; the kernel takes little for us."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.sendall(request)
    client.setblocking(False)
    return client


def _resident(pid: int) -> int:
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * 4096
