"""The limits of one client: each is hit, refused in a form that stock clients understand, and counted."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_network

import aiohttp
import pytest

from services.gateway.edge.incidents import IncidentKind
from services.gateway.edge.peer import Peers
from services.gateway.engineio.application import Application
from services.gateway.engineio.session import Session
from services.gateway.wire.websocket import CloseCode, close_frame
from tests.conformance.conftest import EngineWith
from tests.conformance.running import TEXT, Running, engine_server
from tests.conformance.server import EngineEcho
from tests.conformance.settings import CALM
from tests.unit.websocket_client import ENGINEIO, frame, handshake
from tests.waiting import HANGS


async def test_no_more_connections_than_allowed(engine_with: EngineWith) -> None:
    engine = await engine_with(max_connections=2)
    await engine.open_polling()
    async with engine.session():
        for transport in ("polling", "websocket"):
            response = await refused(engine, transport)
            assert response == (503, "5")
    assert engine.incidents == {IncidentKind.TOO_MANY_CONNECTIONS: 2}


async def test_no_more_connections_from_one_address_than_allowed(engine_with: EngineWith) -> None:
    engine = await engine_with(max_connections_per_address=1)
    async with engine.session():
        assert await refused(engine, "polling") == (429, "5")
    assert engine.incidents == {IncidentKind.TOO_MANY_FROM_ADDRESS: 1}
    await engine.until(lambda: engine.connections() == 0)
    await engine.open_polling()


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (b"\x81\x00", CloseCode.PROTOCOL_ERROR),  # not masked
        (frame(1, b"9"), CloseCode.PROTOCOL_ERROR),
        (frame(1, b"4x") * 11, CloseCode.POLICY),
        (frame(1, b"1"), CloseCode.NORMAL),  # the client's own wish
    ],
    ids=["violation", "malformed", "too fast", "close packet"],
)
async def test_a_websocket_that_does_not_answer_our_close_keeps_its_place(
    engine_with: EngineWith, last: bytes, code: CloseCode
) -> None:
    """Or one address could hold any number of them, one after the other."""
    engine = await engine_with(
        max_connections_per_address=2, close_timeout=3600, packets_per_second=1, packets_burst=10
    )
    writers = [await closing_websocket(engine, last, code) for _ in range(2)]
    assert engine.connections() == 0
    for transport in ("websocket", "polling"):
        assert await refused(engine, transport) == (429, "5")
    for writer in writers:
        writer.close()
    await until_admitted(engine)


async def test_the_place_of_a_websocket_that_does_not_answer_our_close_is_free_when_it_is_cut_off(
    engine_with: EngineWith,
) -> None:
    engine = await engine_with(max_connections_per_address=1, close_timeout=0.1)
    writer = await closing_websocket(engine, b"\x81\x00", CloseCode.PROTOCOL_ERROR)
    await until_admitted(engine)
    writer.close()


async def closing_websocket(engine: Running, last: bytes, code: CloseCode) -> asyncio.StreamWriter:
    """Open a session, send what ends it, and read its close frame; but leave the connection open."""
    reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
    writer.write(handshake(ENGINEIO) + last)
    async with asyncio.timeout(HANGS):
        answer = await reader.read()
    assert answer.rpartition(b"\x88")[2][1:3] == code.to_bytes(2, "big")
    return writer


async def until_admitted(engine: Running) -> None:
    """Try again until there is a place for one more client."""
    async with asyncio.timeout(HANGS):
        while True:
            with suppress(aiohttp.WSServerHandshakeError):
                async with engine.session():
                    return
            await asyncio.sleep(0.01)  # nothing tells a client when a place is free


async def test_a_forged_address_does_not_help(engine_with: EngineWith) -> None:
    engine = await engine_with(max_connections_per_address=1)
    async with engine.session():
        assert (await refused(engine, "polling", {"X-Forwarded-For": "203.0.113.9"}))[0] == 429


async def test_a_trusted_proxy_says_whose_connection_it_is(engine_with: EngineWith) -> None:
    engine = await engine_with(max_connections_per_address=1, peers=Peers((ip_network("127.0.0.0/8"),)))
    async with engine.session():
        for address, status in (("203.0.113.9", 200), ("203.0.113.9", 429), ("203.0.113.8", 200)):
            headers = {"X-Forwarded-For": f"198.51.100.1, {address}"}
            assert (await refused(engine, "polling", headers))[0] == status


async def refused(engine: Running, transport: str, headers: dict[str, str] | None = None) -> tuple[int, str | None]:
    """Return the status and Retry-After that a handshake is answered with."""
    if transport == "websocket":
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await engine.http.ws_connect(engine.url, params=engine.query("websocket"))
        assert caught.value.headers is not None
        return caught.value.status, caught.value.headers.get("Retry-After")
    async with engine.http.get(engine.url, params=engine.query("polling"), headers=headers) as response:
        if response.status != 200:
            assert json.loads(await response.text())["code"] == 4
        return response.status, response.headers.get("Retry-After")


@pytest.mark.parametrize("packet", ["4x", "3", b"x"])
async def test_a_client_that_talks_too_fast_is_closed(engine_with: EngineWith, packet: str | bytes) -> None:
    engine = await engine_with(packets_per_second=1, packets_burst=10)
    async with engine.session() as socket:
        await socket.send(*[packet] * 10)
        await asyncio.sleep(0)
        assert engine.incidents == {}
        await socket.send(packet)
        assert await socket.closed() == 1008
    assert engine.incidents == {IncidentKind.RATE_EXCEEDED: 1}


async def test_pings_of_the_websocket_itself_count_too(engine_with: EngineWith) -> None:
    engine = await engine_with(packets_per_second=1, packets_burst=10)
    async with engine.session() as socket:
        for _ in range(11):
            await socket.raw.ping()
        await engine.counted(IncidentKind.RATE_EXCEEDED)


async def test_packets_of_one_post_count_each(engine_with: EngineWith) -> None:
    engine = await engine_with(packets_per_second=1, packets_burst=10)
    sid = await engine.open_polling()
    assert (await engine.post(sid, "\x1e".join(["4x"] * 11)))[0] == 400
    assert engine.incidents == {IncidentKind.RATE_EXCEEDED: 1}


async def test_the_rate_recovers_with_time(engine_with: EngineWith) -> None:
    engine = await engine_with(packets_per_second=100, packets_burst=5)
    async with engine.session() as socket:
        for _ in range(4):
            await socket.send(*["4x"] * 4)
            for _ in range(4):
                await socket.receive()
            await asyncio.sleep(0.05)
    assert engine.incidents == {}


async def test_a_body_that_trickles_in_is_cut_off(engine_with: EngineWith) -> None:
    engine = await engine_with(body_timeout=0.1)
    sid = await engine.open_polling()
    never = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"4"
        await never.wait()

    query = engine.query("polling", sid=sid)
    async with engine.http.post(engine.url, params=query, data=body(), headers=TEXT) as response:
        assert response.status == 408
    never.set()  # or the client itself would go on waiting for its body
    assert engine.incidents == {IncidentKind.BODY_TOO_SLOW: 1}
    assert engine.connections() == 0


async def test_an_upgrade_that_is_not_completed_is_closed_and_polling_goes_on(engine_with: EngineWith) -> None:
    engine = await engine_with(upgrade_timeout=0.5)
    sid = await engine.open_polling()
    async with engine.websocket(sid=sid) as socket:
        await socket.send("2probe")
        assert await socket.receive() == "3probe"
        await socket.closed()
    assert engine.incidents == {IncidentKind.UPGRADE_FAILED: 1}
    await engine.post(sid, "4x")
    assert await engine.get(sid) == (200, "4x")


async def test_a_websocket_that_no_session_wants_is_not_waited_for(engine_with: EngineWith) -> None:
    """It counts against no limit, so a client could keep any number of them open until the closing handshake is due."""
    engine = await engine_with(close_timeout=3600)
    sid = await engine.open_polling()
    async with engine.websocket(sid=sid) as first, asyncio.timeout(HANGS):
        await first.send("2probe")
        assert await first.receive() == "3probe"
        reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
        writer.write(handshake(f"{ENGINEIO}&sid={sid}"))
        assert (await reader.read()).endswith(close_frame(CloseCode.NORMAL))
        with suppress(ConnectionError):
            while True:
                writer.write(bytes(1000))
                await writer.drain()
        writer.close()


async def test_a_client_that_pongs_and_never_reads_costs_a_bounded_amount(engine_with: EngineWith) -> None:
    engine = await engine_with(max_unsent=300_000, packets_burst=1_000_000)
    reader, writer = await asyncio.open_connection("127.0.0.1", engine.port, limit=1024)
    writer.write(handshake(ENGINEIO))
    await reader.readuntil(b"\r\n\r\n")
    text = b"4" + b"x" * 50_000
    message = b"\x81\xfe" + len(text).to_bytes(2, "big") + bytes(4) + text
    async with asyncio.timeout(HANGS):
        while engine.connections():  # each is echoed, and not read; the kernel's buffers do not count
            writer.write(b"\x81\x81\x00\x00\x00\x003" + message)
            with suppress(ConnectionError):
                await writer.drain()
    assert engine.incidents == {IncidentKind.SLOW_CONSUMER: 1}
    writer.close()


async def test_a_client_that_does_not_read_gets_no_answers_to_its_pings() -> None:
    sessions: list[Session] = []

    def silent(session: Session) -> Application:
        sessions.append(session)
        return EngineEcho(session)

    settings = replace(CALM, max_unsent=10**9)
    async with engine_server(silent, settings) as engine, asyncio.timeout(HANGS):
        _, writer = await asyncio.open_connection("127.0.0.1", engine.port, limit=1024)
        writer.write(handshake(ENGINEIO))
        await engine.until(lambda: bool(sessions) and sessions[0].writable)
        while sessions[0].writable:
            sessions[0].send(b"x" * 100_000)
            await asyncio.sleep(0)
        unsent = sessions[0].carrier.unsent
        writer.write(frame(9, b"x" * 125) * 1000 + frame(1, b"1"))
        await engine.until(lambda: not sessions[0].is_open)
        assert sessions.pop().carrier.unsent <= unsent + 1000
        writer.close()


async def test_unfetched_packets_of_a_polling_client_are_bounded_too(engine_with: EngineWith) -> None:
    engine = await engine_with(max_unsent=300_000)
    sid = await engine.open_polling()
    for _ in range(5):
        assert (await engine.post(sid, "4" + "x" * 50_000))[0] == 200
    assert (await engine.post(sid, "4" + "x" * 60_000))[0] == 400
    assert engine.incidents == {IncidentKind.SLOW_CONSUMER: 1}


async def test_unfetched_packets_of_all_clients_together_are_bounded_as_well(engine_with: EngineWith) -> None:
    """The one for which something has waited longest is given up; those that fetch are not."""
    engine = await engine_with(max_unsent_of_all=120_000)
    sids = [await engine.open_polling() for _ in range(4)]
    for sid in sids[:3]:
        assert (await engine.post(sid, "4" + "x" * 50_000))[0] == 200
        if sid == sids[0]:
            assert len((await engine.get(sid))[1]) == 50_001
            assert (await engine.post(sid, "4" + "y" * 50_000))[0] == 200
    await engine.counted(IncidentKind.SLOW_CONSUMER)
    assert (await engine.get(sids[0]))[0] == 400
    for sid in sids[1:3]:
        assert len((await engine.get(sid))[1]) == 50_001
    assert (await engine.post(sids[3], "4" + "x" * 50_000))[0] == 200
    assert engine.incidents[IncidentKind.SLOW_CONSUMER] == 1


async def test_a_client_that_does_not_answer_the_close_is_cut_off(engine_with: EngineWith) -> None:
    engine = await engine_with(close_timeout=0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
    writer.write(handshake(ENGINEIO) + b"\x81\x83\x00\x00\x00\x00abc")
    async with asyncio.timeout(HANGS):
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1_000_000)
    writer.close()
