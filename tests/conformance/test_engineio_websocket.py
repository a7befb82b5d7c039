"""A session over a websocket alone."""

import asyncio

import aiohttp
import pytest

from services.gateway.edge.incidents import IncidentKind
from tests.conformance.conftest import EngineWith
from tests.conformance.running import Running
from tests.unit.websocket_client import ENGINEIO, handshake
from tests.waiting import HANGS, within


@pytest.mark.parametrize("message", ["4hello", "4", "4äöü\x1e\x00", "4" + "x" * 200_000])
async def test_text_comes_back(engine: Running, message: str) -> None:
    async with engine.session() as socket:
        await socket.send(message)
        assert await socket.receive() == message


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 1_000_000])
async def test_binary_comes_back(engine: Running, size: int) -> None:
    async with engine.session() as socket:
        await socket.send(bytes(range(256)) * (size // 256) + b"\x00" * (size % 256))
        message = await socket.receive()
        assert isinstance(message, bytes)
        assert len(message) == size


async def test_a_client_that_cannot_take_binary_gets_base64(engine: Running) -> None:
    async with engine.websocket(b64="1") as socket:
        await socket.receive()
        await socket.send("bAQIDBA==")
        assert await socket.receive() == "bAQIDBA=="


async def test_pings_come_and_are_answered(engine_with: EngineWith) -> None:
    engine = await engine_with(ping_interval=0.3)
    async with engine.session() as socket:
        for _ in range(3):
            assert (await socket.raw.receive()).data == "2"
            await socket.send("3")


async def test_a_client_that_does_not_pong_is_closed(beating: Running) -> None:
    async with beating.session() as socket:
        async with asyncio.timeout(HANGS):
            assert await socket.closed() == 1001
    assert beating.incidents[IncidentKind.PING_TIMEOUT] == 1


async def test_unrequested_pongs_do_not_delay_the_ping(beating: Running) -> None:
    async with beating.session() as socket:
        ping = asyncio.ensure_future(socket.raw.receive())
        async with asyncio.timeout(HANGS):
            while not ping.done():
                await socket.send("3")
                await asyncio.sleep(0.02)
        assert ping.result().data == "2"


@pytest.mark.parametrize("packet", ["abc", "", "9", "2", "2probe", "b!"])
async def test_a_malformed_packet_closes(engine: Running, packet: str) -> None:
    async with engine.session() as socket:
        await socket.send(packet)
        assert await socket.closed() == 1002
    assert engine.incidents == {IncidentKind.MALFORMED_PACKET: 1}
    assert engine.connections() == 0


async def test_a_close_packet_closes(engine: Running) -> None:
    async with engine.session() as socket:
        await socket.send("1")
        assert await socket.closed() == 1000
    assert engine.incidents == {}


async def test_a_message_that_is_too_big_closes_before_it_has_come(engine: Running) -> None:
    async with engine.session() as socket:
        await socket.send("4" + "x" * 1_000_000)
        assert await socket.closed() == 1009
    assert engine.incidents == {IncidentKind.PAYLOAD_TOO_BIG: 1}


async def test_websocket_pings_are_answered(engine: Running) -> None:
    async with engine.session() as socket:
        await socket.raw.ping(b"are you there")
        message = await socket.raw.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.PONG, b"are you there")


async def test_a_client_that_is_cut_off_is_gone_at_once(engine: Running) -> None:
    async with engine.session() as socket:
        transport = socket.raw.get_extra_info("socket")
        assert transport is not None
    async with within(5):
        await engine.until(lambda: engine.connections() == 0)


async def test_a_plain_handshake_passes_aiohttp_by(engine: Running) -> None:
    async with engine.session() as socket:
        assert engine.http_server.requests_count == 0
        await socket.send("4hello")
        assert await socket.receive() == "4hello"


async def test_a_handshake_may_come_in_parts(engine: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
    writer.write(handshake(ENGINEIO).partition(b"Version")[0])
    await engine.until(lambda: len(engine.http_server.connections) == 1)  # which it is given to at the first part
    writer.write(b"Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n")
    async with asyncio.timeout(HANGS):
        assert (await reader.readuntil(b"0{")).startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert engine.http_server.requests_count == 1
    writer.close()
    await engine.until(lambda: engine.connections() == 0)


async def test_frames_behind_the_handshake_are_not_lost(engine: Running) -> None:
    """A client may send its first frames without waiting for the 101."""
    reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
    writer.write(handshake(ENGINEIO) + b"\x81\x83\x00\x00\x00\x004hi\x81\x83\x00\x00\x00\x004ho")
    async with asyncio.timeout(HANGS):
        answer = await reader.readuntil(b"\x81\x034ho")
    writer.close()
    assert answer.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert b"\x81\x034hi\x81\x034ho" in answer
    await engine.until(lambda: engine.connections() == 0)
