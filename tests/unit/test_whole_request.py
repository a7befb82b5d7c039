"""What is taken for a whole request without parsing it: nothing that any parser could read otherwise."""

import pytest

from services.gateway.wire.whole_request import LARGEST, is_whole_request

HOST = b"Host: a\r\n"
GET = b"GET /api/orders/a HTTP/1.1\r\n" + HOST + b"\r\n"


def post(*lines: bytes, body: bytes = b"{}") -> bytes:
    return b"POST /api/orders HTTP/1.1\r\n" + HOST + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


@pytest.mark.parametrize(
    "data",
    [
        GET,
        b"GET /api/orders?limit=50&sort=-status HTTP/1.1\r\nhost: a\r\nConnection: keep-alive\r\nAccept: */*\r\n\r\n",
        b"DELETE /api/orders/a HTTP/1.1\r\n" + HOST + b"\r\n",
        b"PUT /api/orders/a HTTP/1.1\r\n" + HOST + b"content-length: 2\r\n\r\n{}",
        post(b"Content-Type: application/json", b"Content-Length:  2 "),
        b"POST /api/orders:batch HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_a_plain_request_is_whole_and_is_not_when_anything_is_missing_or_follows(data: bytes) -> None:
    assert is_whole_request(data)
    assert not is_whole_request(data[:-1])
    assert not is_whole_request(data + b"G")
    assert not is_whole_request(data + data)
    assert not is_whole_request(b"\r\n" + data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x16\x03\x01",
        GET.replace(b"/api/orders", b"/healthz"),
        GET.replace(b"/api/orders/a", b"/api/orders/events?since=1"),
        GET.replace(b"HTTP/1.1", b"HTTP/1.0"),
        GET.replace(b"\r\n", b"\n"),
        GET.replace(b"GET", b"HEAD"),
        GET.replace(b"GET", b"get"),
        GET.replace(b"Host: a", b"Host: a\r\n folded"),
        GET.replace(b"Host: a", b"Host : a"),
        GET.replace(b"Host: a", "Host: \u00e4".encode()),
        GET.replace(b"Host: a", b"Accept: text/event-stream"),
        GET.replace(b"Host: a", b"Origin: http://b"),
        GET.replace(b"Host: a", b"connection: keep-alive, Close"),
        GET.replace(b"Host: a", b"Upgrade: websocket"),
        GET.replace(b"Host: a", b"X: " + b"a" * LARGEST),
        post(b"Transfer-Encoding: chunked"),
        post(b"Expect: 100-continue", b"Content-Length: 2"),
        post(b"Content-Length: 2", b"Content-Length: 2"),
        post(b"Content-Length: +2"),
        post(b"Content-Length: 2, 2"),
        post(b"Content-Length: 02147483650"),
    ],
)
def test_whatever_is_special_takes_a_parser(data: bytes) -> None:
    assert not is_whole_request(data)
