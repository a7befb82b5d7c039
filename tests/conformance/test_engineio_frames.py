"""The cost of one websocket client's frames is bounded: each counts before any work is done for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from services.gateway.edge.incidents import IncidentKind
from tests.conformance.conftest import EngineWith
from tests.conformance.running import Running
from tests.unit.websocket_client import CLOSE, CONTINUATION, ENGINEIO, PING, PONG, TEXT, frame, handshake
from tests.waiting import HANGS

Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]
BEGUN = frame(TEXT, b"4x", fin=False)
CRUMB = frame(CONTINUATION, b"", fin=False)


@asynccontextmanager
async def wire(engine: Running, *, sid: str = "", tail: bytes = b"") -> AsyncIterator[Wire]:
    """Give a bare connection after its handshake, behind which `tail` has been sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
    session = f"&sid={sid}" if sid else ""
    writer.write(handshake(ENGINEIO + session) + tail)
    async with asyncio.timeout(HANGS):
        await reader.readuntil(b"\r\n\r\n")
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


async def ending(reader: asyncio.StreamReader) -> bytes:
    """Read until the server has closed its end; return the last frame without its first byte, which is a close's."""
    said = await reader.read()
    _, _, last = said.rpartition(b"\x88")
    return last[1:]


def closed_as(code: int) -> bytes:
    return code.to_bytes(2, "big")


@pytest.mark.parametrize(
    "frames",
    [
        BEGUN + CRUMB * 10,
        frame(PING, b"") * 11,
        frame(PONG, b"x" * 125) * 11,
        frame(TEXT, b"6") * 11,
        BEGUN + frame(PING, b"") * 10,
    ],
    ids=["continuations", "pings", "pongs", "texts", "mixed"],
)
async def test_every_frame_counts_towards_the_rate(engine_with: EngineWith, frames: bytes) -> None:
    engine = await engine_with(packets_per_second=0.001, packets_burst=10)
    async with wire(engine) as (reader, writer):
        writer.write(frames)
        assert (await ending(reader))[:2] == closed_as(1008)
    assert engine.incidents == {IncidentKind.RATE_EXCEEDED: 1}


async def test_frames_behind_an_upgrade_count_too(engine_with: EngineWith) -> None:
    engine = await engine_with(packets_per_second=0.001, packets_burst=10)
    sid = await engine.open_polling()
    async with wire(engine, sid=sid, tail=frame(PING, b"") * 11):
        await engine.counted(IncidentKind.RATE_EXCEEDED)
    assert engine.connections() == 0


async def test_a_frame_counts_before_its_payload_is_there(engine_with: EngineWith) -> None:
    engine = await engine_with(packets_per_second=0.001, packets_burst=10)
    async with wire(engine) as (reader, writer):
        writer.write(frame(PONG, b"") * 10 + frame(TEXT, b"4" + b"x" * 50_000)[:8])
        assert (await ending(reader))[:2] == closed_as(1008)


async def test_frames_after_the_rate_limit_cost_no_work(engine_with: EngineWith) -> None:
    engine = await engine_with(packets_per_second=0.001, packets_burst=10)
    async with wire(engine) as (reader, writer):
        writer.write(frame(TEXT, b"4hello") * 5 + frame(PING, b"p") * 500 + frame(TEXT, b"4hello") + frame(CLOSE, b""))
        said = await reader.read()
    assert (said.count(b"\x81\x064hello"), said.count(b"\x8a\x01p"), said.count(b"\x88")) == (5, 5, 1)


async def test_frames_after_a_violation_cost_no_work(engine: Running) -> None:
    async with wire(engine) as (reader, writer):
        writer.write(frame(CONTINUATION, b"") + frame(TEXT, b"4hello") * 100 + frame(PING, b"p") * 100)
        said = await reader.read()
    assert b"hello" not in said
    assert b"\x8a" not in said
    assert engine.incidents == {IncidentKind.MALFORMED_PACKET: 1}


async def test_a_message_of_more_than_64_fragments_is_a_violation(engine: Running) -> None:
    async with wire(engine) as (reader, writer):
        writer.write(BEGUN + CRUMB * 62 + frame(CONTINUATION, b"y"))
        assert b"4xy" in await reader.readuntil(b"4xy")
        writer.write(BEGUN + CRUMB * 63)
        writer.write(CRUMB)
        assert (await ending(reader))[:2] == closed_as(1008)
    assert engine.incidents == {IncidentKind.MALFORMED_PACKET: 1}


async def test_order_is_kept_over_many_turns(engine: Running) -> None:
    words = [f"4word{number:05}" for number in range(3000)]
    async with wire(engine, tail=b"".join(frame(TEXT, word.encode()) for word in words[:1500])) as (reader, writer):
        for word in words[1500:]:
            writer.write(frame(TEXT, word.encode()))
        said = await reader.readuntil(words[-1].encode())
    assert said.endswith(b"".join(b"\x81\x0a" + word.encode() for word in words))


async def test_after_our_close_a_client_that_goes_on_sending_is_not_read(engine_with: EngineWith) -> None:
    engine = await engine_with(packets_per_second=0.001, packets_burst=10, close_timeout=1.0)
    async with wire(engine) as (reader, writer):
        writer.write(frame(PING, b"") * 11)
        await reader.read()
        sent = 0
        with suppress(ConnectionError):
            while not writer.transport.is_closing():  # it is cut off in the end
                writer.write(bytes(65_536))
                await writer.drain()
                sent += 65_536
    assert sent < 32_000_000  # as many as the kernel buffers; in a second one could send a thousand
    assert engine.incidents == {IncidentKind.RATE_EXCEEDED: 1}


async def test_a_client_that_ends_the_closing_handshake_need_not_wait(engine_with: EngineWith) -> None:
    engine = await engine_with(close_timeout=3600)
    async with engine.session() as socket:
        await socket.send("9")
        assert await socket.closed() == 1002
    async with wire(engine) as (reader, writer):
        writer.write(frame(TEXT, b"9"))
        assert (await ending(reader))[:2] == closed_as(1002)
    async with wire(engine) as (reader, writer):
        writer.write(frame(CLOSE, b"\x03\xe8"))
        assert await ending(reader) == b"\x03\xe8"


async def test_packets_of_a_post_are_not_read_beyond_the_rate(engine_with: EngineWith) -> None:
    engine = await engine_with(packets_per_second=0.001, packets_burst=10)
    sid = await engine.open_polling()
    # Were the packets that are too many read, the last would be counted as malformed.
    assert (await engine.post(sid, "\x1e".join(["6"] * 10_000 + ["9"])))[0] == 400
    assert engine.incidents == {IncidentKind.RATE_EXCEEDED: 1}
