"""The front of a port: which connections go to a websocket, which to aiohttp, and which are cut off."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import cast

import pytest
import uvloop
from aiohttp import web
from aiohttp.http_writer import StreamWriter
from structlog.testing import capture_logs
from structlog.typing import EventDict

from services.common import fair_turns
from services.common.fair_turns import FairTurns
from services.front import refusals
from services.front.connections import ConnectionBounds, ConnectionRefusal, Connections, State
from services.front.front import CONNECTION_SECONDS, Front
from services.front.handover import Successor, hand_over
from services.front.refusals import Overload, Refusals
from services.gateway.edge.fast_path import websocket_fast_path
from services.gateway.edge.takeover import AlreadyAnswered, take_over
from services.gateway.wire.handshake import Handshake
from tests.waiting import HANGS, meanwhile, until

HANDSHAKE = b"GET /socket.io/?EIO=4 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LONG = 2 * HANGS  # that the server waits: nothing comes about by it
BUSY = 0.02  # seconds
BODY = b"x" * 1_000_000


class Echo(Successor):
    """Sends a greeting, then echoes."""

    state = State.WEBSOCKET

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(b"websocket ")

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


@dataclass
class Port:
    """A port with a front. ``lets`` says whether handshakes become websockets; ``/slow`` is answered on ``answer``."""

    number: int = 0
    lets: bool = True
    asked: list[Handshake] = field(default_factory=list)
    refusals: Counter[ConnectionRefusal] = field(default_factory=Counter)
    answer: asyncio.Event = field(default_factory=asyncio.Event)
    clients: list["Client"] = field(default_factory=list)
    connections: Connections = field(init=False)
    turns: FairTurns = field(init=False)
    passes: int = 0
    handled: Counter[int] = field(default_factory=Counter)  # requests for "/", by the pass of the loop

    async def count_passes(self) -> None:
        while True:
            await asyncio.sleep(0)
            self.passes += 1

    async def hello(self, _: web.Request) -> web.Response:
        self.handled[self.passes] += 1
        return web.Response(text="hello")

    def open(self, request: Handshake, transport: asyncio.Transport) -> bool:
        self.asked.append(request)
        if self.lets:
            hand_over(transport, Echo())
        return self.lets

    @property
    def census(self) -> dict[str, int]:
        return {state.value: count for state, count in self.connections.census().items() if count}

    async def connect(self) -> "Client":
        client = Client(*await asyncio.open_connection("127.0.0.1", self.number))
        self.clients.append(client)
        return client

    async def connect_silently(self) -> "Client":
        """Connect, and wait until the server knows."""
        before = len(self.connections)
        client = await self.connect()
        await until(lambda: len(self.connections) > before, "the connection is accepted")
        return client


@dataclass
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, request: bytes = REQUEST) -> bytes:
        """Return the status line of the answer."""
        self.writer.write(request)
        async with asyncio.timeout(HANGS):
            head = await self.reader.readuntil(b"\r\n\r\n")
            for line in head.split(b"\r\n"):
                if line.startswith(b"Content-Length: "):
                    await self.reader.readexactly(int(line.split()[1]))
        return head.split(b"\r\n")[0].removeprefix(b"HTTP/1.1 ")

    async def rest(self) -> bytes:
        """Read until the server closes."""
        async with asyncio.timeout(HANGS):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""

    def close(self) -> None:
        self.writer.close()


async def _body(_: web.Request) -> web.Response:
    return web.Response(body=BODY)


async def _busy(_: web.Request) -> web.Response:
    """Work on the loop before and after something that is waited for."""
    for _number in range(2):
        end = perf_counter() + BUSY
        while perf_counter() < end:
            pass
        await asyncio.sleep(0.001)
    return web.Response()


@asynccontextmanager
async def front(
    *,
    most: int = 100,
    per_address: int = 100,
    last_descriptor: int = 1_000_000,
    seconds: float = LONG,
    unread: float = LONG,
    overload: Overload | None = None,
) -> AsyncIterator[Port]:
    port = Port()
    app = web.Application()
    app.router.add_get("/", port.hello)
    app.router.add_get("/large", _large)
    app.router.add_get("/taken", _taken)
    app.router.add_get("/slow", _Slow(port.answer).get)
    app.router.add_get("/busy", _busy)
    app.router.add_get("/body", _body)
    app.router.add_post("/length", _length)
    runner = web.AppRunner(app, keepalive_timeout=LONG, lingering_time=0.2)
    await runner.setup()
    assert runner.server is not None
    bounds = ConnectionBounds(total=most, per_address=per_address, last_descriptor=last_descriptor)
    port.connections = Connections(bounds, lambda refusal: port.refusals.update([refusal]), head_seconds=seconds)
    gate = Front(runner.server, port.connections, websocket_fast_path(port.open), unread=unread, overload=overload)
    port.turns = gate.turns
    try:
        async with gate.listening("127.0.0.1", 0) as port.number:
            yield port
    finally:
        await runner.cleanup()
        for client in port.clients:
            client.close()
    await until(lambda: not port.census, "no connection is counted any more")


async def _length(request: web.Request) -> web.Response:
    await request.content.read()
    return web.Response(text="read")


async def _taken(request: web.Request) -> web.StreamResponse:
    take_over(request, Echo())
    return AlreadyAnswered(101)


async def _large(_: web.Request) -> web.Response:
    return web.Response(body=bytes(32 << 20))  # more than the kernel takes


@dataclass
class _Slow:
    answer: asyncio.Event

    async def get(self, _: web.Request) -> web.Response:
        await self.answer.wait()
        return web.Response(text="hello")


async def test_a_websocket_handshake_is_served() -> None:
    async with front() as port:
        client = await port.connect()
        client.writer.write(HANDSHAKE)
        assert await client.reader.readexactly(10) == b"websocket "
        client.writer.write(b"hello")
        assert await client.reader.readexactly(5) == b"hello"
        assert port.census == {"websocket": 1}
        assert [request.remote for request in port.asked] == ["127.0.0.1"]
        client.close()
        await until(lambda: not port.census, "its place is free")


async def test_a_websocket_that_aiohttp_hands_over_is_counted_as_one() -> None:
    async with front() as port:
        client = await port.connect()
        client.writer.write(b"GET /taken HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await client.reader.readexactly(10) == b"websocket "
        assert port.census == {"websocket": 1}


async def test_a_refused_handshake_is_answered_by_aiohttp() -> None:
    async with front() as port:
        port.lets = False
        client = await port.connect()
        assert await client.ask(HANDSHAKE) == b"404 Not Found"
        assert len(port.asked) == 1


async def test_any_other_request_is_answered_by_aiohttp() -> None:
    async with front() as port:
        client = await port.connect()
        assert await client.ask() == b"200 OK"
        assert await client.ask() == b"200 OK"
        assert port.census == {"http": 1}
        other = await port.connect()
        assert await other.ask(b"\x16\x03\x01\r\n\r\n") == b"HTTP/1.0 400 Bad Request"
        other.close()
        assert not port.asked


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: %b\r\n" % (b"," * 8_000) * 5 + b"\r\n", b"431"),
        (b"GET / HTTP/1.1\r\n" + b"A: %b\r\n" % (b"," * 8_000) * 6 + b"A: %b" % (b"," * 1_500), b"431"),  # no end of it
        (b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"/" * 8_000), b"414"),
        (b"GET http://xn--/ HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
    ],
)
async def test_a_head_that_would_be_dear_is_refused_and_its_connection_closed(request_: bytes, status: bytes) -> None:
    async with front() as port:
        client = await port.connect()
        client.writer.write(request_)
        assert (await client.rest()).split()[1] == status


async def test_a_request_that_follows_in_the_pipeline_is_judged_too() -> None:
    async with front() as port:
        client = await port.connect()
        client.writer.write(REQUEST * 50 + b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"/" * 8_000) + REQUEST)
        answers = (await client.rest()).split(b"HTTP/1.")[1:]
        assert [answer.split()[1] for answer in answers] == [b"200"] * 50 + [b"414"]


async def test_requests_that_follow_in_the_pipeline_take_turns_too() -> None:
    """All of them were handled in a row, by all connections in the same pass of the loop."""
    async with front() as port:
        clients = [await port.connect() for _ in range(50)]
        async with meanwhile(port.count_passes()):
            for client in clients:
                client.writer.write(REQUEST * 20)
            for client in clients:
                for _ in range(20):
                    assert await client.ask(b"") == b"200 OK"
        assert sum(port.handled.values()) == 50 * 20
        assert max(port.handled.values()) <= 10  # in one pass; more than twenty without their turns


async def test_an_address_is_charged_for_what_its_requests_take_while_others_ask() -> None:
    async with front() as port:
        client = await port.connect()
        for account in ("another", "127.0.0.1"):
            await port.turns.take(account)
        assert await client.ask(b"GET /busy HTTP/1.1\r\nHost: a\r\n\r\n") == b"200 OK"
        assert port.turns.charged >= 2 * BUSY


async def test_an_address_is_charged_for_each_connection_while_others_ask() -> None:
    async with front(per_address=2) as port:
        await port.connect_silently()
        assert port.turns.charged == 0
        for account in ("another", "127.0.0.1"):
            await port.turns.take(account)
        await port.connect_silently()
        assert b"429" in (await (await port.connect()).rest()).splitlines()[0]  # it is refused, and pays
        assert port.turns.charged >= 2 * CONNECTION_SECONDS


async def test_a_large_response_is_not_copied_before_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[object] = []
    write = StreamWriter._write

    def noting(self: StreamWriter, chunk: bytes) -> None:
        written.append(chunk)
        write(self, chunk)

    monkeypatch.setattr(StreamWriter, "_write", noting)
    async with front() as port:
        client = await port.connect()
        assert await client.ask(b"GET /body HTTP/1.1\r\nHost: a\r\n\r\n") == b"200 OK"
        assert await client.ask() == b"200 OK"
    assert any(each is BODY for each in written)


async def test_a_body_of_many_turns_arrives_whole() -> None:
    async with front() as port:
        client = await port.connect()
        for size in (1, 3_000, 100_000, 1_000_000):
            client.writer.write(b"POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
            assert await client.ask(REQUEST) == b"200 OK"  # to the body
            assert await client.ask(b"") == b"200 OK"  # to what was sent behind it


async def test_a_connection_that_says_nothing_is_cut_off_in_time() -> None:
    async with front(seconds=0.1) as port:
        client = await port.connect()
        assert await client.rest() == b""
        assert port.refusals == {ConnectionRefusal.SILENT: 1}


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_half_a_request_is_waited_for_as_long_as_for_none_however_it_comes_in(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def scenario() -> None:
        async with front(seconds=1.0) as port:
            assert (await answer_to_trickle(port)).startswith(b"HTTP/1.1 408 ")

    run(scenario(), loop)


async def test_the_next_request_over_a_connection_has_to_come_in_in_time_too() -> None:
    async with front(seconds=1.5) as port:

        async def twice(client: Client) -> None:
            assert await client.ask() == b"200 OK"
            await asyncio.sleep(1.7)  # longer than a head may take: nothing has begun
            assert await client.ask() == b"200 OK"

        assert (await answer_to_trickle(port, twice)).startswith(b"HTTP/1.1 408 ")


async def test_a_request_that_is_being_answered_has_all_the_time() -> None:
    async with front(seconds=1.0) as port:
        client = await port.connect()
        answered = asyncio.ensure_future(client.ask(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"))
        await asyncio.sleep(1.3)
        port.answer.set()
        assert await answered == b"200 OK"
        assert not port.refusals


async def test_the_oldest_silent_connection_makes_room_for_a_new_one() -> None:
    async with front(most=3) as port:
        first, half = await port.connect_silently(), await port.connect_silently()
        half.writer.write(b"GET / HT")
        third = await port.connect_silently()
        fourth, fifth = await port.connect(), await port.connect()
        assert await first.rest() == b""
        assert await half.rest() == b""
        for client in (third, fourth, fifth):
            assert await client.ask() == b"200 OK"
        assert port.refusals == {ConnectionRefusal.EVICTED: 2}


async def test_an_idle_connection_makes_room_where_none_is_silent() -> None:
    async with front(most=2) as port:
        idle, busy = await port.connect(), await port.connect()
        assert await idle.ask() == b"200 OK"
        answered = asyncio.ensure_future(busy.ask(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"))
        await until(lambda: port.census == {"http": 2}, "both have asked")
        new = await port.connect()
        assert await new.ask() == b"200 OK"
        assert await idle.rest() == b""
        port.answer.set()
        assert await answered == b"200 OK"


def shortages(lines: list[EventDict]) -> list[tuple[str, str | None]]:
    """Return what was logged when connections ran short: why, and of which address."""
    begun = [line for line in lines if line["event"] == "Connections are refused or evicted to make room"]
    return [(line["reason"], line.get("address")) for line in begun]


async def test_where_all_are_busy_a_new_connection_is_refused() -> None:
    with capture_logs() as lines:
        await refuse_where_all_are_busy()
    assert shortages(lines) == [("too_many_connections", None)]


async def refuse_where_all_are_busy() -> None:
    async with front(most=2) as port:
        busy, websocket = await port.connect(), await port.connect()
        answered = asyncio.ensure_future(busy.ask(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"))
        websocket.writer.write(HANDSHAKE)
        await until(lambda: port.census == {"http": 1, "websocket": 1}, "both are there")
        refused = await port.connect()
        assert (await refused.rest()).startswith(b"HTTP/1.1 503 ")
        assert port.refusals == {ConnectionRefusal.TOO_MANY_CONNECTIONS: 1}
        websocket.close()
        await until(lambda: port.census == {"http": 1}, "there is room again")
        again = await port.connect()
        assert await again.ask() == b"200 OK"
        port.answer.set()
        assert await answered == b"200 OK"


async def test_one_address_has_its_share_and_its_websockets_are_counted_elsewhere() -> None:
    with capture_logs() as lines:
        await share_of_one_address()
    assert shortages(lines) == [("too_many_from_address", "127.0.0.1")], "once, however many are refused"


async def share_of_one_address() -> None:
    async with front(per_address=1) as port:
        websocket = await port.connect()
        websocket.writer.write(HANDSHAKE)
        assert await websocket.reader.readexactly(10) == b"websocket "
        client = await port.connect()
        assert await client.ask() == b"200 OK"
        refused, another = await port.connect(), await port.connect()
        for each in (refused, another):
            assert (await each.rest()).startswith(b"HTTP/1.1 429 ")
        assert port.refusals == {ConnectionRefusal.TOO_MANY_FROM_ADDRESS: 2}
        for each in (websocket, client, refused, another):
            each.close()
        await until(lambda: not port.census, "all have gone")
        again = await port.connect()
        assert await again.ask() == b"200 OK"


async def test_where_descriptors_run_out_silent_connections_make_room_and_then_new_ones_are_refused() -> None:
    with capture_logs() as lines:
        await refuse_where_descriptors_run_out()
    assert shortages(lines) == [("out_of_descriptors", None)]


async def refuse_where_descriptors_run_out() -> None:
    async with front(last_descriptor=3) as port:  # all have higher ones
        refused = await port.connect()
        assert (await refused.rest()).startswith(b"HTTP/1.1 503 ")
        assert port.refusals == {ConnectionRefusal.OUT_OF_DESCRIPTORS: 1}


async def test_where_something_else_uses_descriptors_up_silent_connections_make_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.front.front.DESCRIPTOR_CHECK_SECONDS", 0.05)
    with ExitStack() as stack:
        last = os.dup(0) + 20
        stack.callback(os.close, last - 20)
        async with front(last_descriptor=last) as port:
            silent = await port.connect_silently()
            busy = await port.connect()
            answered = asyncio.ensure_future(busy.ask(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"))
            await until(lambda: port.census == {"silent": 1, "http": 1}, "both are there")
            for _ in range(40):
                stack.callback(os.close, os.dup(0))
            assert await silent.rest() == b""
            await until(lambda: port.refusals[ConnectionRefusal.OUT_OF_DESCRIPTORS] > 0, "nothing more can be done")
            assert port.refusals[ConnectionRefusal.EVICTED] == 1
            port.answer.set()
            assert await answered == b"200 OK"


async def test_silent_connections_are_cut_off_in_the_end() -> None:
    async with front() as port:
        silent = await port.connect_silently()
    assert await silent.rest() == b""


async def test_a_client_that_never_reads_is_given_up_even_where_its_connection_was_closed() -> None:
    async with front(unread=1) as port:
        client = await port.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.writer.write(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        await until(lambda: port.census == {"http": 1}, "it has asked")
        await until(lambda: not port.census, "the kernel has given it up")


async def nothing(_: Client) -> None:
    pass


async def answer_to_trickle(port: Port, first: Callable[[Client], Awaitable[None]] = nothing) -> bytes:
    """Return what is answered to a head without end; each of them must be cut off for its slowness."""
    answer = b""
    while not answer:  # what the client sends while the server closes may cost it the answer
        client = await port.connect()
        await first(client)
        trickling = asyncio.ensure_future(trickle(client))
        before = port.refusals[ConnectionRefusal.HEAD_TOO_SLOW]
        answer = await client.rest()
        trickling.cancel()
        assert port.refusals == {ConnectionRefusal.HEAD_TOO_SLOW: before + 1}
    return answer


async def trickle(client: Client) -> None:
    """Send a head without end."""
    with suppress(ConnectionError):
        client.writer.write(b"GET / HTTP/1.1\r\n")
        while True:
            client.writer.write(b"X: y\r\n")
            await client.writer.drain()
            await asyncio.sleep(0.2)  # a slow client: what is unread when the server closes would cost it the answer


def run(scenario: Awaitable[None], loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(HANGS):
            await scenario

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(bounded())


class Flood:
    """Everything is refused once it ``is_on``."""

    def __init__(self) -> None:
        self.is_on = False
        self.refused = 0
        answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
        self.overload = Overload(lambda _: self.is_on, lambda data: data == REQUEST, answer, self._count)

    def _count(self) -> None:
        self.refused += 1


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "in turn"])
async def test_what_would_wait_too_long_is_refused_unparsed_and_the_connection_goes_on(
    waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if waits:
        monkeypatch.setattr(refusals, "_AT_ONCE", 0)
    flood = Flood()
    async with front(overload=flood.overload) as port:
        clients = [await port.connect() for _ in range(40)]
        for client in clients:
            assert await client.ask() == b"200 OK"
        flood.is_on = True
        for _ in range(2):
            answers = await asyncio.gather(*(client.ask() for client in clients))
            assert answers == [b"503 Service Unavailable"] * 40
        assert flood.refused == 80
        clients.append(await port.connect())  # its first request is refused, too
        for _ in range(2):
            assert await clients[-1].ask() == b"503 Service Unavailable"
        clients[0].close()  # with a request that is still to be refused
        flood.is_on = False
        for client in clients[1:]:
            assert await client.ask() == b"200 OK"


async def test_only_so_many_are_refused_in_one_pass_of_the_loop() -> None:
    class Connection:
        held = b""

        def hold(self, data: bytes) -> None:
            self.held = data

        def refuse(self, answer: bytes) -> None:
            """There is nobody to tell."""

    flood = Flood()
    some = Refusals(FairTurns(), flood.overload)
    for passes in (1, 2):
        connections = [Connection() for _ in range(refusals._AT_ONCE + 1)]
        for connection in connections:
            some.refuse(f"{passes}", connection, REQUEST)
        assert [bool(each.held) for each in connections] == [False] * refusals._AT_ONCE + [True]
        await until(lambda: flood.refused == passes * len(connections), "the one that was held is refused, too")  # noqa: B023


async def test_a_request_that_has_waited_too_long_for_its_turn_is_refused_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fair_turns, "PASS_SECONDS", 0.0)  # so that each request waits for a turn
    flood = Flood()
    async with front(overload=flood.overload) as port:
        client = await port.connect()
        assert await client.ask() == b"200 OK"
        assert await client.ask() == b"200 OK"
        monkeypatch.setattr(refusals, "WAIT_SECONDS", -1.0)
        assert await client.ask() == b"503 Service Unavailable"
        new = await port.connect()
        assert await new.ask() == b"503 Service Unavailable"
        assert flood.refused == 2
        monkeypatch.setattr(refusals, "WAIT_SECONDS", LONG)
        assert [await client.ask(), await new.ask()] == [b"200 OK", b"200 OK"]


async def test_nothing_is_refused_that_belongs_to_a_request_which_has_begun() -> None:
    flood = Flood()
    async with front(overload=flood.overload) as port:
        client, other = await port.connect(), await port.connect()
        assert await client.ask() == b"200 OK"
        client.writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nX-Quoted: ")
        assert await other.ask() == b"200 OK"  # so it has been read
        flood.is_on = True
        await asyncio.sleep(0)
        client.writer.write(REQUEST)
        assert await other.ask() == b"503 Service Unavailable"
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert b" 400 Bad Request" in head  # there are two hosts
        assert flood.refused == 1


async def test_a_request_under_way_keeps_what_follows_from_being_refused_before_its_answer() -> None:
    flood = Flood()
    async with front(overload=flood.overload) as port:
        client = await port.connect()
        client.writer.write(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: port.census == {"http": 1}, "it is under way")
        flood.is_on = True
        client.writer.write(REQUEST)
        port.answer.set()
        for _ in range(2):
            assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            assert await client.reader.readexactly(5) == b"hello"
