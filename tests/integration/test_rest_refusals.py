"""Bad requests, on a real MongoDB: each is refused in words, writes nothing, and is not logged as a fault of ours."""

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import ClientResponse
from structlog.testing import capture_logs

from tests.integration.rest_api import JOHN, Api, Client, orders_at, serve, serve_orders, store_of
from tests.waiting import HANGS

JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def api(mongodb_uri: str, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Api]:
    """Every test of this file ends with an untouched collection and an empty log."""
    caplog.set_level(logging.WARNING)
    with capture_logs() as lines:
        async with serve_orders(mongodb_uri) as api:
            yield api
            assert await api.orders.count_documents({}) == 0
    # The server has stopped, so every request has come to its end, those of clients that left included.
    assert lines == []
    assert [*caplog.get_records("call"), *caplog.records] == []


async def problem_of(reply: ClientResponse) -> dict[str, Any]:
    assert reply.content_type == "application/problem+json"
    problem: dict[str, Any] = json.loads(await reply.read())
    assert {"type", "title", "status", "detail"} <= problem.keys()
    assert problem["status"] == reply.status
    return problem


async def fields(reply: ClientResponse) -> list[str]:
    return [error["field"] for error in (await problem_of(reply))["errors"]]


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "hello",
        '{"status": "pending",}',
        "{'status': 'pending'}",
        '{"status": NaN}',
        '{"status": Infinity}',
        "[" * 60_000,
        '{"a":' * 10_000,
        '{"status": ' + "9" * 401 + "}",  # a megabyte of such numbers held the interpreter for 20 ms
        '{"status": ' + "9" * 5000 + "}",
        b"\xff\xfe",
        b'{"status": "\xe9"}',
        '\ufeff\ufeff{"status": "pending"}',
    ],
)
async def test_a_body_that_is_not_json_is_refused(api: Api, method: str, body: str | bytes) -> None:
    address = "/api/orders" if method == "POST" else f"/api/orders/{'0' * 24}"
    reply = await api.client.request(method, address, data=body, headers=JSON)
    assert reply.status == 400
    assert (await problem_of(reply))["type"] == "urn:realtime-orders:problem:not-json"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({**JOHN, "customer_name": 5}, ["customer_name"]),
        ({**JOHN, "customer_name": {"$gt": ""}}, ["customer_name"]),
        ({**JOHN, "product_name": None}, ["product_name"]),
        ({**JOHN, "product_name": "x" * 201}, ["product_name"]),
        ({**JOHN, "product_name": "a\x00b"}, ["product_name"]),
        ({**JOHN, "status": "lost"}, ["status"]),
        ({**JOHN, "_id": "0" * 24}, ["_id"]),
        ({**JOHN, "$where": "sleep(1000)"}, ["$where"]),
        ({"status": "pending"}, ["customer_name", "product_name"]),
        ({}, ["customer_name", "product_name"]),
        ([JOHN], ["body"]),
        ("text", ["body"]),
        (None, ["body"]),
    ],
)
async def test_an_order_that_breaks_the_rules_is_refused_by_field(api: Api, body: object, named: list[str]) -> None:
    reply = await api.client.post("/api/orders", data=json.dumps(body), headers=JSON)
    assert reply.status == 422
    assert await fields(reply) == named


async def test_a_fault_in_the_body_has_a_json_pointer(api: Api) -> None:
    reply = await api.client.post("/api/orders", json={**JOHN, "a/b~c": 1})
    assert (await problem_of(reply))["errors"] == [
        {"in": "body", "field": "a/b~c", "message": "is not an accepted field", "pointer": "#/a~1b~0c"}
    ]


@pytest.mark.parametrize("body", ['{"status":"pending","status":"shipped"}', '{"x":{"status":1,"status":2}}'])
async def test_a_key_that_is_there_twice_is_refused(api: Api, body: str) -> None:
    reply = await api.client.post("/api/orders", data=body, headers=JSON)
    assert (reply.status, await fields(reply)) == (422, ["status"])


async def test_lone_surrogates_are_refused(api: Api) -> None:
    body = json.dumps({**JOHN, "customer_name": "\ud800"})
    reply = await api.client.post("/api/orders", data=body, headers=JSON)
    assert (reply.status, await fields(reply)) == (422, ["customer_name"])


@pytest.mark.parametrize(
    "body", [r'{"\ud800":1}', r'{"\ud800":1,"\ud800":2}', r'{"x":{"\udfff":1,"\udfff":2}}', r'{"\ud800/~":1}']
)
async def test_a_name_that_cannot_be_encoded_is_reported_in_a_form_that_can(api: Api, body: str) -> None:
    reply = await api.client.post("/api/orders", data=body, headers=JSON)
    assert reply.status == 422
    assert await fields(reply)


@pytest.mark.parametrize("target", [b"/api/orders?\xff=1", b"/api/orders?id=\xff", b"/api/orders/\xff", b"/api/\xff"])
async def test_bytes_in_an_address_that_are_no_text_are_refused_as_a_problem(api: Api, target: bytes) -> None:
    reader, writer = await raw(api.client, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head, _, body = (await asyncio.wait_for(reader.read(), HANGS)).partition(b"\r\n\r\n")
    assert int(head.split()[1]) in {400, 404, 422}
    assert json.loads(body)["status"] == int(head.split()[1])
    writer.close()


async def test_a_body_of_very_many_fields_is_refused_as_a_whole(api: Api) -> None:
    reply = await api.client.post("/api/orders", json={str(number): 1 for number in range(5000)})
    assert (reply.status, await fields(reply)) == (422, ["body"])


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/octet-stream"},
    ],
)
async def test_another_content_type_is_refused(api: Api, headers: dict[str, str]) -> None:
    reply = await api.client.post("/api/orders", data=json.dumps(JOHN), headers=headers)
    assert reply.status == 415
    await problem_of(reply)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "identity, gzip", "x", ""])
@pytest.mark.parametrize(
    ("method", "address"),
    [("POST", "/api/orders"), ("DELETE", "/api/orders"), ("PUT", "/api/orders/x"), ("POST", "/api/nothing")],
)
async def test_a_compressed_body_is_refused_unread_at_every_address(
    api: Api, method: str, address: str, encoding: str
) -> None:
    headers = {**JSON, "Content-Encoding": encoding}
    reply = await api.client.request(method, address, data=gzip.compress(b" " * 5_000_000), headers=headers)
    assert reply.status == 415
    assert (await problem_of(reply))["detail"] == "Send the body uncompressed."


async def test_the_rest_of_a_body_that_is_refused_is_not_read_for_long(api: Api) -> None:
    reader, writer = await raw(api.client, HEAD + b"Content-Length: 1000000000\r\n\r\n")
    assert (await asyncio.wait_for(reader.readline(), HANGS)).split()[1] == b"413"
    sent = 0
    with suppress(ConnectionError):
        while sent < 100_000_000:
            writer.write(bytes(65_536))
            await writer.drain()
            sent += 65_536
    assert sent < 50_000_000  # bytes that are read and discarded, and those that the kernel buffers
    writer.close()


async def test_a_body_over_the_limit_is_refused(api: Api) -> None:
    reply = await api.client.post("/api/orders", data=b" " * 65_537, headers=JSON)
    assert reply.status == 413
    assert "65536" in (await problem_of(reply))["detail"]


async def test_a_body_that_announces_too_much_is_refused_before_it_comes(api: Api) -> None:
    reader, writer = await raw(api.client, HEAD + b"Content-Length: 1000000\r\n\r\n")
    assert (await asyncio.wait_for(reader.readline(), HANGS)).split()[1] == b"413"
    writer.close()
    await writer.wait_closed()


async def test_a_body_over_the_limit_that_does_not_say_so_is_refused(api: Api) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(70):
            yield b" " * 1000

    reply = await api.client.post("/api/orders", data=chunks(), headers=JSON)
    assert reply.status == 413
    await problem_of(reply)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("id", ["~", "~i05", "~x", "%7Eb", "%00" * 24, "0" * 23 + "%0A", "%FF"])
async def test_a_malformed_id_is_refused(api: Api, method: str, id: str) -> None:
    body = {"json": {"status": "shipped"}} if method == "PUT" else {}
    reply = await api.client.request(method, f"/api/orders/{id}", **body)  # type: ignore[arg-type]
    assert (reply.status, await fields(reply)) == (422, ["id"])


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=ten", "limit"),
        ("limit=5&limit=6", "limit"),
        ("status=lost", "status"),
        ("status[$ne]=x", "status[$ne]"),
        ("a[$gt]=", "a[$gt]"),
        ("customer_name=", "customer_name"),
        ("id=~i05", "id"),
        ("status=pending&status=lost", "status"),
        ("after=~i05", "after"),
        ("after=~AAAA", "after"),
        ("page=2", "page"),
    ],
)
async def test_a_query_that_is_not_understood_is_refused(api: Api, query: str, named: str) -> None:
    reply = await api.client.get(f"/api/orders?{query}")
    assert (reply.status, await fields(reply)) == (422, [named])


@pytest.mark.parametrize(
    ("method", "address", "allow"),
    [
        ("PATCH", "/api/orders", "GET, HEAD, OPTIONS, POST"),
        ("GET", "/api/orders:batch", "OPTIONS, POST"),
        ("DELETE", "/api/orders", "GET, HEAD, OPTIONS, POST"),
        ("POST", "/api/orders/" + "0" * 24, "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
    ],
)
async def test_a_wrong_method_is_answered_with_the_allowed_ones(
    api: Api, method: str, address: str, allow: str
) -> None:
    reply = await api.client.request(method, address)
    await problem_of(reply)
    assert (reply.status, reply.headers["Allow"]) == (405, allow)
    options = await api.client.options(address)
    assert (options.status, options.headers["Allow"]) == (204, allow)


async def test_an_unknown_address_below_the_api_is_a_problem(api: Api) -> None:
    reply = await api.client.get("/api/nothing")
    assert reply.status == 404
    await problem_of(reply)


async def raw(client: Client, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(request)
    return reader, writer


HEAD = b"POST /api/orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("start", "rest"),
    [
        (b"Content-Length: 90\r\n\r\n{", b'"status":'),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n{\r\n"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"zz\r\n{}\r\n"),
    ],
)
async def test_a_body_that_does_not_come_to_an_end_is_cut_off(mongodb_uri: str, start: bytes, rest: bytes) -> None:
    async with orders_at(mongodb_uri) as orders, serve(store_of(orders), body_deadline=0.2) as client:
        reader, writer = await raw(client, HEAD + start)
        assert (await client.get("/healthz")).status == 200  # the server has seen the start by now
        writer.write(rest)
        answer = await asyncio.wait_for(reader.readuntil(b"}"), HANGS)
        # aiohttp's parser in C does not report broken chunks, the one in Python does (AIOHTTP_NO_EXTENSIONS).
        assert (b" 408 " in answer and b"within 0.2 seconds" in answer) or (b" 400 " in answer and b"zz" in rest)
        writer.close()
        await writer.wait_closed()


async def test_a_body_with_broken_chunks_is_refused(api: Api) -> None:
    reader, writer = await raw(api.client, HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n")
    assert (await asyncio.wait_for(reader.readline(), HANGS)).split()[1] == b"400"
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    ("nonsense", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET /api/orders HTTP/1.1\r\nHost: x\r\nA\x00: b\r\n\r\n", 400),
        (b"GET /api/orders HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 20_000 + b"\r\n\r\n", 431),
        (b"GET /api/orders?" + b"b" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET /api/orders HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 200 + b"\r\n", 400),
        (b"POST /api/orders HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ],
)
async def test_bytes_that_are_not_http_are_refused_as_a_problem(api: Api, nonsense: bytes, status: int) -> None:
    reader, writer = await raw(api.client, nonsense)
    head, _, body = (await asyncio.wait_for(reader.read(), HANGS)).partition(b"\r\n\r\n")
    assert int(head.split()[1]) == status
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == status
    writer.close()
    await writer.wait_closed()


async def test_a_client_that_leaves_in_the_middle_of_its_body_leaves_no_trace(api: Api) -> None:
    _, writer = await raw(api.client, HEAD + b"Content-Length: 90\r\n\r\n{")
    await writer.drain()
    assert (await api.client.get("/healthz")).status == 200  # the request above has reached its handler by now
    writer.transport.abort()
    assert (await api.client.get("/api/orders")).status == 200
