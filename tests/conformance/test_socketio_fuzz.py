"""Whatever clients send, a live server keeps serving, logs nothing, and holds nothing of them afterwards."""

import asyncio
from contextlib import suppress

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.gateway.edge.incidents import IncidentKind
from tests.conformance.running import TEXT, Running
from tests.unit.websocket_client import SOCKETIO, frame, handshake
from tests.waiting import HANGS, within

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

packet = st.sampled_from(
    [
        *[
            "40",
            "41",
            "40/custom",
            "41/custom",
            "40/no",
            '42["message",1]',
            '421["message-with-ack",{"a":[]}]',
            "430[]",
        ],
        *['451-["message",{"_placeholder":true,"num":0}]', "2", "3", "1", "5", "6", "2probe", "bAQID", "b", "", "4"],
        *['42["connect"]', "42[" + "[" * 100, '42/custom,["message"]', '452-3["message-with-ack"]', "0{}", "\x1e"],
    ]
)
text = (
    packet | st.text(max_size=30) | st.from_regex(r'4[0-6][0-9]{0,2}-?(/custom,)?[0-9]?[\[{"a:,\]}]*', fullmatch=True)
)
step = st.one_of(
    st.tuples(st.just("text"), text),
    st.tuples(st.just("binary"), st.binary(max_size=10)),
    st.tuples(st.just("frame"), st.builds(frame, st.integers(0, 15), st.binary(max_size=130), fin=st.booleans())),
    st.tuples(st.just("bytes"), st.binary(max_size=20)),
)
request = st.one_of(
    st.tuples(st.just("post"), st.lists(text, max_size=4).map("\x1e".join)),
    st.tuples(st.just("post"), st.binary(max_size=20).map(lambda data: data.decode("latin-1"))),
    st.tuples(st.just("get"), st.just("")),
    st.tuples(st.just("probe"), text),
    st.tuples(st.just("put"), text),
)
few = settings(max_examples=60, suppress_health_check=list(HealthCheck))


def encoded(kind: str, data: str | bytes) -> bytes:
    if isinstance(data, str):
        return frame(1, data.encode(errors="surrogatepass"))
    return frame(2, data) if kind == "binary" else data


async def whisper(running: Running, data: bytes, query: str = "") -> None:
    """Send `data` after a websocket handshake, hang up, and read until the server does, too."""
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    with suppress(ConnectionError):
        writer.write(handshake(SOCKETIO + query) + data)
        writer.write_eof()
        async with within(5):
            await reader.read()
    writer.close()


async def serves(running: Running) -> None:
    """Check that the server works and that we are its only client."""
    await running.until(lambda: running.connections() == 0)
    async with running.session() as socket:
        await socket.send("40", '421["message-with-ack",1]')
        assert [await socket.receive() for _ in range(3)][2] == "431[1]"
    await running.until(lambda: running.connections() == 0)
    assert running.incidents[IncidentKind.APPLICATION_ERROR] == 0


@few
@given(steps=st.lists(step, max_size=12))
async def test_a_websocket_client_may_send_anything(sockets: Running, steps: list[tuple[str, str | bytes]]) -> None:
    with structlog.testing.capture_logs() as logs:
        async with asyncio.timeout(HANGS):
            await whisper(sockets, b"".join(encoded(*each) for each in steps))
            await serves(sockets)
    assert logs == []


@few
@given(requests=st.lists(request, max_size=8))
async def test_a_polling_client_may_send_anything(sockets: Running, requests: list[tuple[str, str]]) -> None:
    with structlog.testing.capture_logs() as logs:
        async with asyncio.timeout(HANGS):
            sid = await sockets.open_polling()
            for kind, data in requests:
                await ask(sockets, sid, kind, data.encode(errors="replace"))
            await sockets.post(sid, "1")
            await serves(sockets)
    assert logs == []


async def ask(running: Running, sid: str, kind: str, data: bytes) -> None:
    """Send one request for a session, in time to be answered or given up."""
    if kind == "probe":
        await whisper(running, frame(1, b"2probe") + frame(1, data), f"&sid={sid}")
        return
    query = running.query("polling", sid=sid)
    with suppress(TimeoutError):
        async with (
            asyncio.timeout(0.02),
            running.http.request(kind.upper(), running.url, params=query, data=data, headers=TEXT) as response,
        ):
            await response.read()
            assert response.status in {200, 400, 405}
