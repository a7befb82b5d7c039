"""From polling to websocket: nothing lost, nothing twice, nothing out of order."""

import asyncio

import pytest

from services.gateway.edge.incidents import IncidentKind
from tests.conformance.conftest import EngineWith
from tests.conformance.running import Running, WebSocket
from tests.waiting import within

MISMATCH = (400, '{"code":3,"message":"Bad request"}')


async def upgrade(socket: WebSocket) -> None:
    await socket.send("2probe")
    assert await socket.receive() == "3probe"
    await socket.send("5")


async def test_a_poll_is_ended_by_a_noop_and_the_websocket_takes_over(engine: Running) -> None:
    sid = await engine.open_polling()
    async with engine.websocket(sid=sid) as socket:
        await socket.send("2probe")
        assert await socket.receive() == "3probe"
        assert await engine.get(sid) == (200, "6")
        await socket.send("5", "4hello")
        assert await socket.receive() == "4hello"


async def test_a_poll_that_is_held_when_the_probe_comes_is_ended(engine: Running) -> None:
    sid = await engine.open_polling()
    poll = await engine.held(engine.get(sid))
    async with engine.websocket(sid=sid) as socket:
        await socket.send("2probe")
        assert await socket.receive() == "3probe"
        assert await poll == (200, "6")


async def test_unfetched_packets_follow_over_the_websocket_in_order(engine: Running) -> None:
    sid = await engine.open_polling()
    await engine.post(sid, "41\x1ebAgM=\x1e43")
    async with engine.websocket(sid=sid) as socket:
        await socket.send("2probe")
        assert await socket.receive() == "3probe"
        await engine.post(sid, "44")
        await socket.send("5", "45")
        assert [await socket.receive() for _ in range(5)] == ["41", b"\x02\x03", "43", "44", "45"]


async def test_requests_for_a_session_that_has_upgraded_are_refused(engine: Running) -> None:
    sid = await engine.open_polling()
    async with engine.websocket(sid=sid) as socket:
        await socket.send("2probe", "5", "4first")
        assert [await socket.receive() for _ in range(2)] == ["3probe", "4first"]
        assert await engine.get(sid) == MISMATCH
        assert await engine.post(sid, "4x") == MISMATCH
        await socket.send("4hello")
        assert await socket.receive() == "4hello"


async def test_a_second_websocket_for_the_same_session_is_closed(engine: Running) -> None:
    sid = await engine.open_polling()
    async with engine.websocket(sid=sid) as socket:
        await upgrade(socket)
        await socket.send("4done")
        assert await socket.receive() == "4done"
        async with engine.websocket(sid=sid) as second:
            await second.closed()
        await socket.send("4hello")
        assert await socket.receive() == "4hello"


async def test_a_second_probe_at_the_same_time_is_closed(engine: Running) -> None:
    sid = await engine.open_polling()
    async with engine.websocket(sid=sid) as socket:
        await socket.send("2probe")
        assert await socket.receive() == "3probe"
        async with engine.websocket(sid=sid) as second, within(5):  # less than an attempt may take
            await second.closed()
        await socket.send("5", "4hello")
        assert await socket.receive() == "4hello"


async def test_a_websocket_cannot_be_upgraded(engine: Running) -> None:
    async with engine.websocket() as socket:
        handshake = await socket.receive()
        assert isinstance(handshake, str)
        sid = handshake.split('"')[3]
        async with engine.websocket(sid=sid) as second:
            await second.closed()
        await socket.send("4hello")
        assert await socket.receive() == "4hello"


@pytest.mark.parametrize("packet", ["4hello", "abc", "2", "3probe", "1", b"\x01"])
async def test_anything_but_a_probe_ends_the_attempt_and_not_the_session(engine: Running, packet: str | bytes) -> None:
    sid = await engine.open_polling()
    async with engine.websocket(sid=sid) as socket:
        await socket.send(packet)
        await socket.closed()
    assert engine.incidents == {IncidentKind.UPGRADE_FAILED: 1}
    assert await engine.post(sid, "4hello") == (200, "ok")
    assert await engine.get(sid) == (200, "4hello")


async def test_after_a_failed_attempt_polls_are_held_again_and_another_may_succeed(engine: Running) -> None:
    sid = await engine.open_polling()
    async with engine.websocket(sid=sid) as socket:
        await socket.send("2probe")
        assert await socket.receive() == "3probe"
    await engine.counted(IncidentKind.UPGRADE_FAILED)
    poll = await engine.held(engine.get(sid))
    await asyncio.sleep(0.05)  # in which it could be answered
    assert not poll.done()
    async with engine.websocket(sid=sid) as socket:
        await upgrade(socket)
        await socket.send("4hello")
        assert await socket.receive() == "4hello"
    assert await poll == (200, "6")


async def test_the_heartbeat_goes_on_over_the_websocket(engine_with: EngineWith) -> None:
    engine = await engine_with(ping_interval=0.3, ping_timeout=1.0)
    sid = await engine.open_polling()
    async with engine.websocket(sid=sid) as socket:
        await upgrade(socket)
        for _ in range(2):
            assert (await socket.raw.receive()).data == "2"
            await socket.send("3")
        assert await socket.closed() == 1001


async def test_a_session_that_ends_takes_its_probe_along(engine: Running) -> None:
    sid = await engine.open_polling()
    async with engine.websocket(sid=sid) as socket:
        await socket.send("2probe")
        await engine.post(sid, "1")
        await socket.closed()
    assert engine.connections() == 0
