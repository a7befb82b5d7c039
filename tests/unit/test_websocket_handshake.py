"""The request that opens a websocket, read without an HTTP parser, with the same result as an HTTP parser's."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from aiohttp.http import HttpRequestParser
from hypothesis import example, given
from hypothesis import strategies as st

from services.gateway.wire.handshake import LARGEST, parse_handshake
from tests.unit.websocket_client import handshake

HEAD = handshake(host="shop.example:8080").replace(b"Connection: ", b"Connection: keep-alive, ").removesuffix(b"\r\n")
END = b"\r\n"


def test_a_plain_request_is_read() -> None:
    request = parse_handshake(HEAD + b"Origin:\thttps://shop.example \r\n" + END, "192.0.2.7")
    assert request is not None
    assert request.path == "/socket.io/"
    assert request.query == {"EIO": "4", "transport": "websocket"}
    assert request.headers["sec-websocket-key"] == "dGhlIHNhbXBsZSBub25jZQ=="
    assert request.headers["origin"] == "https://shop.example"
    assert (request.method, request.version, request.remote) == ("GET", (1, 1), "192.0.2.7")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        HEAD,  # not all there
        HEAD[:40],
        HEAD + END + b"\x81\x80\0\0\0\0",  # something behind
        HEAD.replace(b"GET", b"POST") + END,
        HEAD.replace(b"HTTP/1.1", b"HTTP/1.0") + END,
        HEAD.replace(b"\r\n", b"\n") + b"\n",
        HEAD.replace(b"?EIO=4&transport=websocket", b"") + END,
        HEAD.replace(b"EIO=4", b"EIO=%34") + END,
        HEAD.replace(b"EIO=4", b"t=a+b") + END,
        HEAD.replace(b"EIO=4", b"EIO=4&EIO=3") + END,
        HEAD.replace(b"EIO=4", b"EIO=4&") + END,
        HEAD.replace(b"=websocket", b"=websocket&") + END,
        HEAD.replace(b"/socket.io/?", b"http://shop.example/socket.io/?") + END,
        HEAD.replace(b"EIO=4", b"EIO=4#x") + END,
        HEAD.replace(b"Host: shop.example:8080\r\n", b"") + END,
        HEAD.replace(b"Host:", b"Host :") + END,
        HEAD.replace(b"Host:", b" Host:") + END,
        HEAD + b"host: other.example\r\n" + END,
        HEAD + b"X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 10.0.0.2\r\n" + END,
        HEAD + b"X-Folded: a\r\n b\r\n" + END,
        HEAD + b"X-Name: caf\xc3\xa9\r\n" + END,
        HEAD + b"X-Null: a\0b\r\n" + END,
        HEAD + b"X-Bare: a\rb\r\n" + END,
        HEAD + b"No colon\r\n" + END,
        HEAD + b"Content-Length: 0\r\n" + END,
        HEAD + b"Transfer-Encoding: chunked\r\n" + END,
        HEAD + b"Expect: 100-continue\r\n" + END,
        HEAD + b"X-Long: " + b"a" * LARGEST + b"\r\n" + END,
    ],
)
def test_all_else_is_left_to_an_http_parser(data: bytes) -> None:
    assert parse_handshake(data) is None


TARGET = b"GET |POST |/socket.io/|/a.b/|//x/|?|EIO=4|&|transport=websocket|b64|=|t=-_.|%41|+|;| HTTP/1.1|\r\n"
LINES = b"Host: a|Upgrade: websocket|X:|x: \t y |: z|X-A: 1,2|Connection: Upgrade|\n|\r| |\x7f|\xff|\r\n"
PIECES = st.sampled_from((TARGET + b"|" + LINES).split(b"|"))


@given(st.lists(PIECES, max_size=14).map(b"".join), st.lists(PIECES, max_size=12).map(b"".join))
@example(b"", b"")
@example(b"&b64", b"X:\r\nY: \t\r\n")
def test_aiohttp_reads_the_same(query: bytes, lines: bytes) -> None:
    data = HEAD.replace(b" HTTP", query + b" HTTP") + lines + END
    ours = parse_handshake(data)
    if ours is None:
        return
    theirs = _by_aiohttp(data)
    target = urlsplit(theirs.path)
    assert (ours.path, ours.method, ours.version) == (target.path, theirs.method, theirs.version)
    assert list(ours.query.items()) == parse_qsl(target.query, keep_blank_values=True)
    assert list(ours.headers.items()) == list(theirs.headers.items())


def _by_aiohttp(data: bytes) -> Any:
    loop = asyncio.new_event_loop()
    try:
        parser = HttpRequestParser(None, loop, 2**16)
        [(message, _)], _, tail = parser.feed_data(data)
    finally:
        loop.close()
    assert not tail
    return message


def test_the_tests_write_a_handshake_in_one_place() -> None:
    tests = Path(__file__).parents[1]
    version = "Sec-WebSocket-" + "Version: 13"
    found = {str(file.relative_to(tests)) for file in tests.rglob("*.py") if version in file.read_text("utf-8")}
    assert found == {"unit/websocket_client.py", "deploy/idle_crowd.py"}  # the second runs alone in a container
