"""Websocket handshakes that offer subprotocols or another version, on the short way in and on the long one."""

import asyncio

import aiohttp
import pytest

from tests.conformance.running import Running
from tests.waiting import HANGS

KEY = "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg=="
# A header that is not plain ASCII makes the HTTP parser read the request.
WAYS = {"short": "", "long": "X-Name: caf\u00e9\r\n"}


async def handshake(engine: Running, *lines: str, way: str, version: str = "13") -> tuple[int, dict[str, str]]:
    """Return the status and the headers of the answer."""
    head = (
        f"GET {engine.path}?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
        f"Upgrade: websocket\r\n{f'Sec-WebSocket-Version: {version}' if version else 'X: y'}\r\n{KEY}\r\n{WAYS[way]}"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
    try:
        writer.write((head + "".join(f"{line}\r\n" for line in lines) + "\r\n").encode())
        async with asyncio.timeout(HANGS):
            answer = (await reader.readuntil(b"\r\n\r\n")).decode()
    finally:
        writer.transport.abort()
    status, *fields = answer.rstrip().split("\r\n")
    return int(status.split()[1]), {
        name.lower(): value.strip() for name, _, value in (one.partition(":") for one in fields)
    }


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ((), None),
        (("chat",), "chat"),
        (("v2.orders, v1.orders",), "v2.orders"),
        (("\tv2 ,v1 ",), "v2"),
        (("one", "two"), "one"),  # two lines are one list (RFC 9110, 5.3)
    ],
)
async def test_the_first_subprotocol_is_chosen_as_by_the_stock_server(
    engine: Running, way: str, offered: tuple[str, ...], chosen: str | None
) -> None:
    status, headers = await handshake(engine, *(f"Sec-WebSocket-Protocol: {one}" for one in offered), way=way)
    assert (status, headers.get("sec-websocket-protocol")) == (101, chosen)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("offered", ["", ",", "a,,b", "a b", "a,a", "a;b", '"a"', "a,"])
async def test_a_malformed_list_of_subprotocols_is_refused(engine: Running, way: str, offered: str) -> None:
    status, headers = await handshake(engine, f"Sec-WebSocket-Protocol: {offered}", way=way)
    assert status == 400
    assert "sec-websocket-protocol" not in headers


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("version", ["8", "14", "13, 8", "", "013"])
async def test_another_version_is_answered_with_the_supported_one(engine: Running, way: str, version: str) -> None:
    status, headers = await handshake(engine, way=way, version=version)
    assert (status, headers["sec-websocket-version"]) == (400, "13")


async def test_a_client_that_offers_subprotocols_talks_as_any_other(engine: Running) -> None:
    url = engine.url.replace("http", "ws", 1) + "?EIO=4&transport=websocket"
    async with engine.http.ws_connect(url, protocols=("orders.v1", "other")) as socket:
        assert socket.protocol == "orders.v1"
        assert (await socket.receive()).data.startswith("0{")


async def test_an_upgrade_chooses_a_subprotocol_too(engine: Running) -> None:
    sid = await engine.open_polling()
    url = engine.url.replace("http", "ws", 1) + f"?EIO=4&transport=websocket&sid={sid}"
    async with engine.http.ws_connect(url, protocols=("orders.v1",)) as socket:
        assert socket.protocol == "orders.v1"
        await socket.send_str("2probe")
        message = await socket.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.TEXT, "3probe")
