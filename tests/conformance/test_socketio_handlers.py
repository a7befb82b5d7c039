"""The promises to an application: which handler is called when, in which order, and that the end is always reported."""

# ruff: noqa: ARG002  # handlers have the arguments of their protocol, used or not

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import structlog

from services.gateway.edge.incidents import DisconnectReason, IncidentKind
from services.gateway.socketio.server import Ack, Namespace, Socket
from services.gateway.wire.socketio import Argument
from tests.conformance.running import join, socket_server
from tests.conformance.server import Auth
from tests.conformance.settings import CALM
from tests.waiting import HANGS

Args = Sequence[Argument]


class Diary(Namespace[str]):
    """Records its calls; an event named "wait" takes until `go`."""

    def __init__(self) -> None:
        self.pages: list[str] = []
        self.go = asyncio.Event()

    def connect(self, socket: Socket[str], auth: Auth) -> None:
        socket.state = str(auth.get("name"))
        self.pages.append(f"connect {socket.state}")

    def started(self, socket: Socket[str]) -> None:
        self.pages.append(f"connected {socket.state}")

    async def event(self, socket: Socket[str], name: str, args: Args, ack: Ack | None) -> None:
        self.pages.append(f"{name} begins")
        if name == "wait":
            try:
                await self.go.wait()
            except asyncio.CancelledError:
                self.pages.append("cancelled")
                raise
        self.pages.append(f"{name} ends")
        if ack is not None:
            ack(name, *args)
            ack("a second answer is not sent")

    def disconnected(self, socket: Socket[str], reason: str) -> None:
        self.pages.append(f"disconnected {socket.state}: {reason}")


async def test_events_of_a_client_are_handled_one_at_a_time_and_in_order() -> None:
    diary = Diary()
    async with socket_server({"/": diary}, CALM) as server, server.session() as socket:
        await join(socket)
        await socket.send('421["wait"]', '422["b"]', '423["c",5]')
        await server.until(lambda: "wait begins" in diary.pages)
        diary.go.set()
        assert [await socket.receive() for _ in range(3)] == ['431["wait"]', '432["b"]', '433["c",5]']
    assert diary.pages[2:8] == ["wait begins", "wait ends", "b begins", "b ends", "c begins", "c ends"]


async def test_two_clients_do_not_wait_for_each_other() -> None:
    diary = Diary()
    async with socket_server({"/": diary}, CALM) as server, server.session() as slow, server.session() as other:
        await join(slow)
        await join(other)
        await slow.send('42["wait"]')
        await server.until(lambda: "wait begins" in diary.pages)
        await other.send('421["quick"]')
        assert await other.receive() == '431["quick"]'


async def test_a_handler_is_cancelled_when_its_client_goes_and_the_end_is_reported_once() -> None:
    diary = Diary()
    async with socket_server({"/": diary}, CALM) as server:
        async with server.session() as socket:
            await join(socket)
            await socket.send('42["wait"]', '42["never"]')
            await server.until(lambda: "wait begins" in diary.pages)
        await server.until(lambda: "cancelled" in diary.pages)
    assert diary.pages[2:] == ["wait begins", "disconnected Ann: transport close", "cancelled"]


@pytest.mark.parametrize(
    ("packets", "reason"),
    [
        (["41"], "client namespace disconnect"),
        (["1"], None),
        (["abc"], "parse error"),
        (["42{}"], "parse error"),
        (["4" + "x" * 1_000_001], "transport error"),
    ],
)
async def test_the_reason_of_the_end_is_reported(packets: list[str], reason: str | None) -> None:
    diary = Diary()
    async with socket_server({"/": diary}, CALM) as server, server.session() as socket:
        await join(socket)
        if packets == ["1"]:
            await socket.raw.send_str("1")
        else:
            await socket.send(*packets)
        await server.until(lambda: len(diary.pages) == 3)
    assert diary.pages[2:] == [f"disconnected Ann: {reason or 'transport close'}"]


async def test_a_stop_tells_every_application_why() -> None:
    diary = Diary()
    async with socket_server({"/": diary}, CALM) as server, server.session() as socket:
        await join(socket)
        await asyncio.gather(server.close(0), socket.closed())
    assert diary.pages[-1] == "disconnected Ann: server shutting down"


async def test_a_client_whose_start_fails_is_cut_off_rather_than_left_without_events() -> None:
    class Faulty(Namespace[None]):
        def started(self, socket: Socket[None]) -> None:
            raise RuntimeError("half way")

    with structlog.testing.capture_logs() as logs:
        async with socket_server({"/": Faulty()}, CALM) as server, server.session() as socket:
            await socket.send("40")
            await socket.closed()
            await server.until(lambda: server.connections() == 0)
            assert [str(entry.pop("exc_info")) for entry in logs] == ["half way"]
    assert server.incidents == {IncidentKind.APPLICATION_ERROR: 1}


async def test_a_namespace_that_fails_at_the_end_does_not_keep_the_others_from_hearing_of_it() -> None:
    class Faulty(Namespace[None]):
        def disconnected(self, socket: Socket[None], reason: str) -> None:
            raise RuntimeError("at the end")

    diary = Diary()
    with structlog.testing.capture_logs() as logs:
        async with socket_server({"/": Faulty(), "/diary": diary}, CALM) as server, server.session() as socket:
            await join(socket, "40")
            await socket.send('40/diary,{"name":"Ann"}')
            await socket.receive()
            await socket.send("1")
            await server.until(lambda: server.connections() == 0)
            assert [str(entry.pop("exc_info")) for entry in logs] == ["at the end"]
    assert diary.pages[-1] == "disconnected Ann: transport close"


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_a_fault_of_a_handler_costs_one_event_and_not_the_connection(kind: str) -> None:
    class Faulty(Namespace[None]):
        def event(self, socket: Socket[None], name: str, args: Args, ack: Ack | None) -> Any:
            if name == "plain":
                raise RuntimeError("plain")
            return self.later(name, ack)

        async def later(self, name: str, ack: Ack | None) -> None:
            if name == "async":
                raise RuntimeError("async")
            assert ack is not None
            ack("fine")

    with structlog.testing.capture_logs() as logs:
        async with socket_server({"/": Faulty()}, CALM) as server, server.session() as socket:
            await join(socket, "40")
            await socket.send(f'421["{kind}"]', '422["other"]')
            assert await socket.receive() == '432["fine"]'
            assert [str(entry.pop("exc_info")) for entry in logs] == [kind]
    assert server.incidents == {IncidentKind.APPLICATION_ERROR: 1}


async def test_a_client_that_is_put_out_stays_out_of_one_namespace_only() -> None:
    class Strict(Namespace[None]):
        def event(self, socket: Socket[None], name: str, args: Args, ack: Ack | None) -> None:
            socket.disconnect()
            socket.emit("nobody hears this")

    async with socket_server({"/": Strict(), "/other": Strict()}, CALM) as server, server.session() as socket:
        await socket.send("40", "40/other")
        await socket.receive()
        await socket.receive()
        await socket.send('42/other,["x"]', '42["y"]')
        assert [await socket.receive() for _ in range(2)] == ["41/other,", "41"]


async def test_an_event_that_cannot_be_encoded_is_a_fault_of_the_application() -> None:
    class Odd(Namespace[None]):
        def event(self, socket: Socket[None], name: str, args: Args, ack: Ack | None) -> None:
            socket.emit(name, float("nan") if name == "number" else object())

    with structlog.testing.capture_logs() as logs:
        async with socket_server({"/": Odd()}, CALM) as server, server.session() as socket:
            await join(socket, "40")
            await socket.send('42["object"]', '42["number"]')
            assert await socket.receive() == '42["number",null]'  # what a browser can parse
            assert [type(entry.pop("exc_info")) for entry in logs] == [TypeError]


async def test_more_events_than_may_wait_close_the_connection() -> None:
    diary = Diary()
    async with socket_server({"/": diary}, replace(CALM, max_queued_events=3)) as server, server.session() as socket:
        await join(socket)
        await socket.send('42["wait"]', *['42["more"]'] * 4)
        assert await socket.closed() == 1008
    assert server.incidents == {IncidentKind.TOO_MANY_EVENTS: 1}


@pytest.mark.parametrize("attached", [False, True])
async def test_more_bytes_than_may_wait_close_the_connection(*, attached: bool) -> None:
    """A hundred events of the largest payload would be megabytes for one client, and many more once they are parsed."""
    half = "x" * 600
    event: list[str | bytes] = [f'42["more","{half}"]']
    if attached:
        event = [f'451-["more",{{"_placeholder":true,"num":0}},"{half[:300]}"]', half[:300].encode()]
    settings = replace(CALM, max_payload=1000)
    async with socket_server({"/": Diary()}, settings) as server, server.session() as socket:
        await join(socket)
        await socket.send('42["wait"]', *event, '42["small"]', *event)
        assert await socket.closed() == 1008
    assert server.incidents == {IncidentKind.TOO_MANY_EVENTS: 1}


@pytest.mark.parametrize(
    "packets", [[], ["40/nowhere"], ["40", "41"], ["40", '452-["x",{"_placeholder":true,"num":0}]', b"\x00"]]
)
async def test_a_client_that_joins_nothing_or_sends_half_a_packet_is_closed_in_time(
    packets: list[str | bytes],
) -> None:
    settings = replace(CALM, connect_timeout=0.1)
    async with socket_server({"/": Diary()}, settings) as server, server.session() as socket:
        await socket.send(*packets)
        async with asyncio.timeout(HANGS):
            assert await socket.closed() == 1008
    assert server.incidents == {IncidentKind.CONNECT_TIMEOUT: 1}


async def test_a_client_that_has_joined_in_time_stays() -> None:
    settings = replace(CALM, connect_timeout=1.5)
    async with socket_server({"/": Diary()}, settings) as server, server.session() as socket:
        await join(socket)
        await asyncio.sleep(1.8)
        await socket.send('421["x"]')
        assert await socket.receive() == '431["x"]'


async def test_attachments_are_bounded_together() -> None:
    settings = replace(CALM, max_payload=10_000)
    async with socket_server({"/": Diary()}, settings) as server, server.session() as socket:
        await join(socket)
        await socket.send('453-["x",{"_placeholder":true,"num":0}]', b"x" * 6_000, b"x" * 6_000)
        assert await socket.closed() == 1002


async def test_nothing_of_a_malformed_packet_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="aiohttp")
    with structlog.testing.capture_logs() as logs:
        async with socket_server({"/": Diary()}, CALM) as server:
            for _ in range(20):
                async with server.session() as socket:
                    await socket.send("4secret")
                    await socket.closed()
    assert logs == []
    assert "secret" not in caplog.text
    assert "Traceback" not in caplog.text


async def test_the_address_is_that_of_the_connection() -> None:
    class Where(Namespace[None]):
        def started(self, socket: Socket[None]) -> None:
            socket.emit("you are", socket.address)

    async with socket_server({"/": Where()}, CALM) as server, server.session() as socket:
        await join(socket, "40")
        assert await socket.receive() == '42["you are","127.0.0.1"]'


async def test_an_application_may_close_while_it_is_asked() -> None:
    class Shut(Diary):
        def connect(self, socket: Socket[str], auth: Auth) -> None:
            super().connect(socket, auth)
            socket.close(DisconnectReason.STREAM_MISSING)

    diary = Shut()
    async with socket_server({"/": diary}, CALM) as server, server.session() as socket:
        await socket.send('40{"name":"Ann"}')
        assert await socket.closed() == 1000
    assert diary.pages == ["connect Ann"]
