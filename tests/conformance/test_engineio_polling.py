"""A session over HTTP requests: packets in both directions, and every way to end it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest

from services.common import fair_turns
from services.gateway.edge.incidents import IncidentKind
from services.gateway.engineio.application import Application
from services.gateway.engineio.session import Session
from tests.conformance.conftest import EngineWith
from tests.conformance.running import TEXT, Running, engine_server
from tests.conformance.server import SETTINGS, EngineEcho
from tests.conformance.settings import CALM
from tests.waiting import HANGS, within

UNKNOWN = (400, '{"code":1,"message":"Session ID unknown"}')


@pytest.mark.parametrize(
    "payload",
    [
        "4hello",
        "4",
        "4test1\x1e4test2\x1e4test3",
        "4hello\x1ebAQIDBA==",
        "b",
        "4zwölf Boxkämpfer \N{PILE OF POO}\x1ebAA==\x1e4" + "x" * 100_000,
    ],
)
async def test_messages_come_back_as_they_were_sent(engine: Running, payload: str) -> None:
    sid = await engine.open_polling()

    assert await engine.post(sid, payload.encode()) == (200, "ok")
    assert await engine.get(sid) == (200, payload)


async def test_a_held_request_is_answered_as_soon_as_there_is_something(engine: Running) -> None:
    sid = await engine.open_polling()

    held = await engine.held(engine.get(sid))
    await asyncio.sleep(0.05)  # in which it could be answered
    assert not held.done()
    await engine.post(sid, "4now")

    assert await held == (200, "4now")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_request_that_is_sent_again_by_another_connection_ends_the_session(
    engine: Running, method: str
) -> None:
    sid = await engine.open_polling()
    query = {**engine.query("polling", sid=sid), "t": "abc"}

    async def send(session: aiohttp.ClientSession) -> tuple[int, str]:
        data = "4again" if method == "POST" else None
        async with session.request(method, engine.url, params=query, data=data, headers=TEXT) as response:
            return response.status, await response.text()

    await engine.post(sid, "4lost")
    async with aiohttp.ClientSession() as first:
        assert (await send(first))[0] == 200
    if method == "GET":
        await engine.post(sid, "4later")
    async with aiohttp.ClientSession() as second:
        assert (await send(second))[0] == 400

    assert await engine.get(sid) == UNKNOWN
    assert engine.incidents[IncidentKind.REPEATED_REQUESTS] == 1


async def test_who_polls_by_hand_may_leave_the_address_as_it_is(engine: Running) -> None:
    sid = await engine.open_polling()
    query = {**engine.query("polling", sid=sid), "t": "abc"}
    async with aiohttp.ClientSession() as session:
        for text in ("4one", "4two"):
            async with session.post(engine.url, params=query, data=text, headers=TEXT) as response:
                assert response.status == 200
            async with session.get(engine.url, params=query) as response:
                assert (response.status, await response.text()) == (200, text)


async def test_the_server_pings_and_the_client_lives_as_long_as_it_pongs(engine_with: EngineWith) -> None:
    engine = await engine_with(ping_interval=0.3)
    sid = await engine.open_polling()
    for _ in range(3):
        assert await engine.get(sid) == (200, "2")
        assert await engine.post(sid, "3") == (200, "ok")


async def test_a_client_that_does_not_pong_is_gone_after_interval_and_timeout(beating: Running) -> None:
    began = asyncio.get_running_loop().time()
    sid = await beating.open_polling()
    await beating.counted(IncidentKind.PING_TIMEOUT)
    assert asyncio.get_running_loop().time() - began > 0.49  # the two of the handshake
    assert await beating.get(sid) == UNKNOWN
    assert beating.incidents[IncidentKind.PING_TIMEOUT] == 1


async def test_a_packet_that_is_late_gives_the_pong_one_more_timeout() -> None:
    async with engine_server(EngineEcho, replace(SETTINGS, ping_timeout=2.0, close_timeout=0.1)) as engine:
        sid = await engine.open_polling()
        assert await engine.get(sid) == (200, "2")
        await asyncio.sleep(1.2)
        await engine.post(sid, "4a long message")
        await asyncio.sleep(1.2)
        assert await engine.post(sid, "3") == (200, "ok")


async def test_packets_without_a_pong_give_one_more_timeout_only() -> None:
    async with engine_server(EngineEcho, replace(SETTINGS, ping_timeout=0.4, close_timeout=0.1)) as engine:
        sid = await engine.open_polling()
        assert await engine.get(sid) == (200, "2")
        async with asyncio.timeout(HANGS):
            while (await engine.post(sid, "4hello"))[0] == 200:  # noqa: ASYNC110  # the client acts here
                await asyncio.sleep(0.1)
        assert engine.incidents[IncidentKind.PING_TIMEOUT] == 1


@pytest.mark.parametrize("packet", ["abc", "", "7", "2", "b!", "b===", "4ok\x1eabc", b"\xff\xfe", "3\x1e"])
async def test_a_malformed_packet_ends_the_session(engine: Running, packet: str | bytes) -> None:
    sid = await engine.open_polling()

    status, _ = await engine.post(sid, packet)

    assert status == 400
    assert await engine.get(sid) == UNKNOWN
    assert engine.incidents[IncidentKind.MALFORMED_PACKET] == 1


async def test_a_second_poll_ends_the_session(engine: Running) -> None:
    sid = await engine.open_polling()

    first = await engine.held(engine.get(sid))
    second = await engine.get(sid)

    assert await first == (200, "1")
    assert second == (400, "")
    assert await engine.get(sid) == UNKNOWN


async def test_a_second_post_at_the_same_time_ends_the_session(engine: Running) -> None:
    sid = await engine.open_polling()
    body_may_end = asyncio.Event()

    async def slow() -> object:
        async def body() -> AsyncIterator[bytes]:
            yield b"4he"
            await body_may_end.wait()
            yield b"llo"

        query = engine.query("polling", sid=sid)
        async with engine.http.post(engine.url, params=query, data=body(), headers=TEXT) as response:
            return response.status

    first = await engine.held(slow())
    assert await engine.post(sid, "4me too") == (400, "")
    body_may_end.set()

    assert await first == 400
    assert await engine.get(sid) == UNKNOWN


async def test_binary_bodies_are_of_an_older_protocol(engine: Running) -> None:
    sid = await engine.open_polling()
    status, _ = await engine.post(sid, b"4x", **{"Content-Type": "application/octet-stream"})
    assert status == 400
    assert await engine.get(sid) == UNKNOWN


async def test_compressed_bodies_are_not_unpacked(engine: Running) -> None:
    sid = await engine.open_polling()
    status, _ = await engine.post(sid, b"4x", **{"Content-Encoding": "gzip"})
    assert status == 415
    assert (await engine.post(sid, b"4x", **{"Content-Encoding": "identity"}))[0] == 200


async def test_a_body_of_the_largest_size_is_taken_and_one_byte_more_is_not(engine: Running) -> None:
    sid = await engine.open_polling()
    assert (await engine.post(sid, "4" + "x" * 999_999))[0] == 200
    assert (await engine.post(sid, "4" + "x" * 1_000_000))[0] == 413
    assert engine.incidents[IncidentKind.PAYLOAD_TOO_BIG] == 1
    assert (await engine.get(sid))[0] == 200


async def test_a_body_in_chunks_is_held_to_the_same_size(engine: Running) -> None:
    sid = await engine.open_polling()

    async def body() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b"4" * 100_000

    query = engine.query("polling", sid=sid)
    async with engine.http.post(engine.url, params=query, data=body(), headers=TEXT) as response:
        assert response.status == 413


async def test_the_packets_of_one_request_share_the_loop_with_others(
    engine: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fair_turns, "PASS_SECONDS", 0.0)  # filled by whatever is done
    passes, received, receive = 0, [], Session.receive

    async def count_passes() -> None:
        nonlocal passes
        while True:
            passes += 1
            await asyncio.sleep(0)

    def noting(session: Session, packet: str) -> None:
        received.append(passes)
        receive(session, packet)

    monkeypatch.setattr(Session, "receive", noting)
    sid = await engine.open_polling()
    counting = asyncio.create_task(count_passes())
    assert await engine.post(sid, "\x1e".join(["4x"] * 20)) == (200, "ok")
    counting.cancel()
    assert len(set(received)) == len(received) == 20


async def test_a_client_that_closes_gets_a_noop_for_its_poll(engine: Running) -> None:
    sid = await engine.open_polling()

    poll = await engine.held(engine.get(sid))
    assert await engine.post(sid, "1") == (200, "ok")

    assert await poll == (200, "6")
    assert await engine.get(sid) == UNKNOWN


async def test_packets_after_a_close_are_not_read(engine: Running) -> None:
    sid = await engine.open_polling()
    assert await engine.post(sid, "1\x1eabc") == (200, "ok")
    assert engine.incidents[IncidentKind.MALFORMED_PACKET] == 0


async def test_a_client_that_hangs_up_while_it_polls_is_gone_at_once(engine: Running) -> None:
    sid = await engine.open_polling()
    poll = await engine.held(engine.get(sid))
    poll.cancel()
    async with within(5):
        await engine.until(lambda: engine.connections() == 0)


@pytest.mark.parametrize("packet", ["0", "5", "6", "0{}", "3", "3probe"])
async def test_packets_that_mean_nothing_here_are_ignored(engine: Running, packet: str) -> None:
    sid = await engine.open_polling()
    assert await engine.post(sid, packet) == (200, "ok")
    assert await engine.post(sid, "4x") == (200, "ok")
    assert await engine.get(sid) == (200, "4x")


async def test_many_messages_come_in_several_answers_and_in_order(engine: Running) -> None:
    """The stock Python client takes sixteen packets at once and drops the connection at the seventeenth."""
    sid = await engine.open_polling()
    messages = [f"4{number}" for number in range(40)]
    await engine.post(sid, "\x1e".join(messages))
    answers = [(await engine.get(sid))[1].split("\x1e") for _ in range(3)]
    assert [len(answer) for answer in answers] == [16, 16, 8]
    assert [packet for answer in answers for packet in answer] == messages


class Talkative(Application):
    """Sends a thousand messages of 10 KB after the first message, as many at a time as it may."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._begun = False
        self._written = 0

    def resumed(self) -> None:
        while self._begun and self._session.writable and self._written < 1000:
            self._written += 1
            self._session.write(b"4%d:" % self._written + b"x" * 10_000)

    def received(self, message: str | bytes) -> None:  # noqa: ARG002  # of the application
        self._begun = True
        self._session.send(b"an answer")


@pytest.mark.parametrize("agent", ["Mozilla/5.0", "python"])
async def test_an_application_that_has_more_than_one_answer_takes_is_paused_until_the_next(agent: str) -> None:
    settings = replace(CALM, poll_buffer=100_000, max_unsent=150_000)
    async with engine_server(Talkative, settings) as engine:
        sid = await engine.open_polling()
        assert await engine.post(sid, "4x") == (200, "ok")
        seen: list[str] = []
        while len(seen) < 200:
            status, body = await engine.get(sid, **{"User-Agent": agent})
            packets = body.split("\x1e")
            assert status == 200
            assert len(body) < 120_000
            seen += [packet.partition(":")[0] for packet in packets if packet != "4an answer"]
            assert await engine.post(sid, "4x") == (200, "ok")  # an answer finds room, however much waits
        assert seen == [f"4{number}" for number in range(1, len(seen) + 1)]
        assert engine.incidents == {}


@pytest.mark.parametrize("agent", ["Mozilla/5.0 (X11; Linux x86_64)", "node-XMLHttpRequest"])
async def test_browsers_and_node_are_given_all_messages_at_once(engine: Running, agent: str) -> None:
    sid = await engine.open_polling()
    messages = [f"4{number}" for number in range(40)]
    await engine.post(sid, "\x1e".join(messages))
    assert await engine.get(sid, **{"User-Agent": agent}) == (200, "\x1e".join(messages))
