"""Handshakes, and requests that are refused, with the reference server's status and body."""

import asyncio
import json

import pytest
from aiohttp import WSServerHandshakeError

from tests.conformance.running import Running
from tests.waiting import HANGS

KEY = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}


async def test_polling_handshake_tells_the_client_all_it_needs(beating: Running) -> None:
    async with beating.http.get(beating.url, params=beating.query("polling")) as response:
        text = await response.text()

    assert response.status == 200
    assert response.headers["Content-Type"] == "text/plain; charset=UTF-8"
    assert response.headers["Cache-Control"] == "no-store"
    assert text[0] == "0"
    handshake = json.loads(text[1:])
    assert isinstance(handshake.pop("sid"), str)
    assert handshake == {"upgrades": ["websocket"], "pingInterval": 300, "pingTimeout": 200, "maxPayload": 1_000_000}


async def test_websocket_handshake_offers_no_upgrade(beating: Running) -> None:
    async with beating.websocket() as socket:
        packet = await socket.receive()

    assert isinstance(packet, str)
    handshake = json.loads(packet[1:])
    assert isinstance(handshake.pop("sid"), str)
    assert handshake == {"upgrades": [], "pingInterval": 300, "pingTimeout": 200, "maxPayload": 1_000_000}


async def test_two_sessions_have_different_sids(engine: Running) -> None:
    assert await engine.open_polling() != await engine.open_polling()


@pytest.mark.parametrize(
    ("method", "query", "status", "code", "message"),
    [
        ("GET", {}, 400, 0, "Transport unknown"),
        ("GET", {"EIO": "4"}, 400, 0, "Transport unknown"),
        ("GET", {"EIO": "4", "transport": "abc"}, 400, 0, "Transport unknown"),
        ("GET", {"EIO": "4", "transport": "webtransport"}, 400, 0, "Transport unknown"),
        ("GET", {"transport": "polling"}, 400, 5, "Unsupported protocol version"),
        ("GET", {"EIO": "abc", "transport": "polling"}, 400, 5, "Unsupported protocol version"),
        ("GET", {"EIO": "3", "transport": "polling"}, 400, 5, "Unsupported protocol version"),
        ("POST", {"EIO": "4", "transport": "polling"}, 400, 2, "Bad handshake method"),
        ("PUT", {"EIO": "4", "transport": "polling"}, 400, 2, "Bad handshake method"),
        ("DELETE", {"EIO": "4", "transport": "polling"}, 400, 2, "Bad handshake method"),
        ("OPTIONS", {"EIO": "4", "transport": "polling"}, 400, 2, "Bad handshake method"),
        ("GET", {"EIO": "4", "transport": "websocket"}, 400, 3, "Bad request"),
        ("GET", {"EIO": "4", "transport": "polling", "j": "0"}, 400, 3, "Bad request"),
        ("GET", {"EIO": "4", "transport": "polling", "sid": "abc"}, 400, 1, "Session ID unknown"),
        ("POST", {"EIO": "4", "transport": "polling", "sid": "abc"}, 400, 1, "Session ID unknown"),
        ("PUT", {"EIO": "4", "transport": "polling", "sid": "abc"}, 400, 1, "Session ID unknown"),
        ("GET", {"EIO": "4", "transport": "polling", "sid": "__proto__"}, 400, 1, "Session ID unknown"),
    ],
)
async def test_a_request_that_is_none_is_refused(
    engine: Running, method: str, query: dict[str, str], status: int, code: int, message: str
) -> None:
    async with engine.http.request(method, engine.url, params=query) as response:
        body = await response.json()

    assert (response.status, body) == (status, {"code": code, "message": message})
    assert engine.connections() == 0


@pytest.mark.parametrize(
    ("method", "changes", "expected"),
    [
        ("GET", {"transport": "websocket"}, (400, 3)),
        ("GET", {"EIO": "3"}, (400, 3)),
        ("PUT", {}, (405, 3)),
        ("DELETE", {}, (405, 3)),
    ],
)
async def test_a_wrong_request_does_not_harm_the_session_it_names(
    engine: Running, method: str, changes: dict[str, str], expected: tuple[int, int]
) -> None:
    sid = await engine.open_polling()

    query = {**engine.query("polling", sid=sid), **changes}
    async with engine.http.request(method, engine.url, params=query) as response:
        body = await response.text()

    status, code = expected
    assert response.status == status
    assert json.loads(body)["code"] == code
    assert await engine.post(sid, "4still here") == (200, "ok")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
async def test_a_plain_request_does_not_harm_the_websocket_it_names(engine: Running, method: str) -> None:
    async with engine.websocket() as socket:
        sid = json.loads(str(await socket.receive())[1:])["sid"]
        query = engine.query("websocket", sid=sid)
        async with engine.http.request(method, engine.url, params=query) as response:
            assert (response.status, (await response.json())["code"]) == (400, 3)
        await socket.send("4still here")
        assert await socket.receive() == "4still here"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"transport": "websocket"}, "Unsupported protocol version"),
        ({"EIO": "abc", "transport": "websocket"}, "Unsupported protocol version"),
        ({"EIO": "4"}, "Transport unknown"),
        ({"EIO": "4", "transport": "abc"}, "Transport unknown"),
        ({"EIO": "4", "transport": "websocket", "sid": "abc"}, "Session ID unknown"),
    ],
)
async def test_a_websocket_that_is_none_is_refused(engine: Running, query: dict[str, str], message: str) -> None:
    headers = {**KEY, "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg=="}
    async with engine.http.get(engine.url, params=query, headers=headers) as response:
        assert (response.status, await response.text()) == (400, message)
        assert response.headers["Connection"] == "close"

    with pytest.raises(WSServerHandshakeError):
        await engine.http.ws_connect(engine.url, params=query)
    assert engine.connections() == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-WebSocket-Key": "not base64"},
        {"Sec-WebSocket-Key": "c2hvcnQ="},
        {"Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==", "Sec-WebSocket-Version": "8"},
        {"Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==", "Connection": "keep-alive"},
        {},
    ],
)
async def test_a_broken_websocket_handshake_is_refused(engine: Running, headers: dict[str, str]) -> None:
    query = engine.query("websocket")
    async with engine.http.get(engine.url, params=query, headers={**KEY, **headers}) as response:
        assert response.status == 400
    assert engine.connections() == 0


async def test_a_websocket_that_asks_for_polling_is_closed(engine: Running) -> None:
    async with engine.websocket(transport="polling") as socket:
        await socket.closed()
    assert engine.connections() == 0


async def test_the_path_is_served_without_its_last_slash(engine: Running) -> None:
    async with engine.http.get(engine.url.rstrip("/"), params=engine.query("polling")) as response:
        assert response.status == 200


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/engine.io/", KEY | {"Upgrade": ""}, 400),
        ("/engine.io/", KEY | {"Upgrade": "h2c"}, 400),
        ("/engine.io/", KEY | {"Connection": "keep-alive"}, 400),
        ("/elsewhere/", KEY, 404),
        ("/engine.io/more", KEY, 404),
        ("/engine.io/../engine.io/", KEY, 404),
    ],
)
async def test_the_first_request_of_a_connection_is_judged_as_any_other(
    engine: Running, path: str, headers: dict[str, str], status: int
) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
    writer.write(
        f"GET {path}?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n{lines}"
        "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n".encode()
    )
    async with asyncio.timeout(HANGS):
        assert (await reader.readline()).split()[1] == str(status).encode()
    writer.close()
    assert engine.connections() == 0
