"""What holds for the answer to any request: to every route, by every method, with odd headers."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import ClientResponse

from services.gateway.http.compression import LEAST
from tests.integration.rest_api import JOHN, Api, Client, orders_at, serve, store_of
from tests.waiting import HANGS

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
ODD_HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"Accept": "image/png"},
    {"Accept": "*/*;q=0"},
    {"Accept": "application/json;q=0, */*"},
    {"Accept": ", ;q=x,/,*"},
    {"Accept-Encoding": "zstd, br;q=0.9, gzip;q=0.8"},
    {"Accept-Encoding": "*;q=0"},
    {"Accept-Encoding": "\u00e4;q=7,,"},
    {"Content-Encoding": "gzip"},
    {"Content-Type": "text/plain"},
    {"Content-Type": "application/json; charset=latin-1"},
    {"Content-Type": ";;;"},
    {"Expect": "miracles"},
    {"If-Match": '"x"', "If-None-Match": "garbage"},
    {"If-Modified-Since": "yesterday", "Range": "bytes=5-1"},
    {"Range": "lines=1-2"},
    {"Prefer": "return=minimal", "TE": "trailers", "Max-Forwards": "0"},
    {"Idempotency-Key": "x" * 300},
    {"Connection": "keep-alive, accept"},
    {"X-HTTP-Method-Override": "DELETE"},
)
NOWHERE = ("/api/", "/api/nothing", "/api/orders/", "/api/orders/a/b/c", "/nothing", "//", "/socket.io/nothing")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    web, client, library = (tmp_path_factory.mktemp(name) for name in ("web", "client", "library"))
    (web / "index.html").write_text("<!doctype html><title>Orders</title>")
    return web, client, library


@pytest.fixture
async def api(mongodb_uri: str, folders: tuple[Path, Path, Path]) -> AsyncIterator[Api]:
    async with orders_at(mongodb_uri) as orders, serve(store_of(orders), folders=folders) as client:
        yield Api(client, orders)


def addresses(client: Client, id: str) -> Iterable[str]:
    for resource in client.app.router.resources():
        yield "/" + "/".join(id if "{" in part else part for part in resource.canonical.split("/")[1:])


def _is_problem(reply: ClientResponse, body: bytes) -> bool:
    if reply.content_type != "application/problem+json":
        return False
    if not body and reply.method == "HEAD":
        return True
    problem: dict[str, object] = json.loads(body)
    return {"type", "title", "status", "detail"} <= problem.keys() and problem["status"] == reply.status


RULES: dict[str, Callable[[ClientResponse, bytes], bool]] = {
    "no fault of ours": lambda reply, _: reply.status < 500 or reply.status == 503,
    "no body to HEAD": lambda reply, body: reply.method != "HEAD" or not body,
    "405 with Allow": lambda reply, _: reply.status != 405 or "Allow" in reply.headers,
    "a type that is not guessed": lambda reply, _: (
        reply.status == 417 or reply.headers.get("X-Content-Type-Options") == "nosniff"
    ),
}
OF_THE_API: dict[str, Callable[[ClientResponse, bytes], bool]] = {
    "503 with Retry-After": lambda reply, _: reply.status != 503 or "Retry-After" in reply.headers,
    "every error is a problem": lambda reply, body: reply.status < 400 or _is_problem(reply, body),
    "415 says what is taken": lambda reply, _: (
        reply.status != 415 or bool(reply.headers.keys() & {"Accept", "Accept-Encoding"})
    ),
    "Cache-Control": lambda reply, _: reply.status == 417 or "Cache-Control" in reply.headers,
}


async def test_every_route_answers_every_method_and_odd_headers_as_http_says(api: Api) -> None:
    created = await (await api.client.post("/api/orders", json=JOHN)).json()
    asked = [*addresses(api.client, created["_id"]), *NOWHERE]
    wrong: list[str] = []
    for address in asked:
        for method in METHODS:
            for headers in ODD_HEADERS:
                body = b"{}" if method in {"POST", "PUT", "PATCH"} else None
                given = {"Content-Type": "application/json", **headers} if body else headers
                reply = await api.client.request(method, address, data=body, headers=given, allow_redirects=False)
                answer = await reply.read()
                rules = {**RULES, **OF_THE_API} if address.startswith("/api/") else RULES
                wrong += [
                    f"{method} {address} {headers} → {reply.status}: {rule}"
                    for rule, holds in rules.items()
                    if not holds(reply, answer)
                ]
    assert not wrong, "\n".join(wrong[:40])


async def test_head_has_the_headers_of_get_and_options_names_what_there_is(api: Api) -> None:
    created = await (await api.client.post("/api/orders", json=JOHN)).json()
    for address in addresses(api.client, created["_id"]):
        options = await api.client.options(address)
        allowed = options.headers["Allow"].split(", ")
        assert (options.status, await options.read(), "OPTIONS" in allowed) == (204, b"", True), address
        assert ("Accept-Post" in options.headers, "Accept-Patch" in options.headers) == (
            "POST" in allowed,
            "PATCH" in allowed,
        )
        if "GET" not in allowed or address.endswith("/events"):
            continue
        assert "HEAD" in allowed, address
        get, head = await api.client.get(address), await api.client.head(address)
        assert head.status == get.status
        volatile = {"Date", "Stream-Cursor"} | (
            {"Content-Length", "Transfer-Encoding"} & (get.headers.keys() ^ head.headers.keys())
        )
        for name in get.headers.keys() - volatile:
            assert head.headers.get(name) == get.headers[name], f"{name} of {address}"


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json", 200),
        ("application/*;q=0.1", 200),
        ("text/html, */*;q=0.8", 200),
        ("text/html, application/json;q=0", 406),
        ("image/png", 406),
    ],
)
async def test_what_a_client_does_not_accept_it_does_not_get(api: Api, accept: str, status: int) -> None:
    created = await (await api.client.post("/api/orders", json=JOHN)).json()
    reply = await api.client.get(f"/api/orders/{created['_id']}", headers={"Accept": accept})
    assert reply.status == status
    refused = await api.client.delete(f"/api/orders/{created['_id']}", headers={"Accept": "image/png"})
    assert refused.status == 406
    assert await api.orders.count_documents({}) == 1, "nothing is written for an answer that cannot be given"


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip", "gzip"),
        ("br", "br"),
        ("zstd", "zstd"),
        ("gzip, br, zstd", "zstd"),
        ("gzip;q=1, br;q=0.5, zstd;q=0", "gzip"),
        ("*", "zstd"),
        ("*;q=0.5, zstd;q=0", "br"),
        ("identity, gzip;q=0.5", None),
        ("deflate", None),
        ("gzip;q=0", None),
        ("", None),
    ],
)
async def test_long_lists_are_compressed_as_the_client_likes(api: Api, accepted: str, coding: str | None) -> None:
    await api.orders.insert_many([{**JOHN, "product_name": "Laptop " * 20} for _ in range(LEAST // 100)])
    address = "/api/orders"
    plain = await (await api.client.get(address, headers={"Accept-Encoding": "identity"})).read()
    async with api.client.get(address, headers={"Accept-Encoding": accepted}) as reply:
        assert reply.headers.get("Content-Encoding") == coding
        assert "Accept-Encoding" in reply.headers["Vary"]
        assert await reply.read() == plain
        if coding is not None:
            assert int(reply.headers["Content-Length"]) < len(plain) / 4


async def test_a_short_answer_is_not_compressed(api: Api) -> None:
    reply = await api.client.post("/api/orders", json=JOHN, headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in reply.headers


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "identity"])
async def test_a_list_of_megabytes_is_compressed_while_it_is_sent(api: Api, coding: str) -> None:
    await api.orders.insert_many([{**JOHN, "note": f"{number} " * 2_000} for number in range(100)])
    headers = {"Accept-Encoding": coding}
    async with api.client.get("/api/orders?limit=100", headers=headers) as reply:
        assert reply.headers.get("Content-Encoding", "identity") == coding
        assert len(json.loads(await reply.read())) == 100


async def test_the_documents_of_the_api_are_asked_for_again_and_not_sent_again(api: Api) -> None:
    for address in ("/api/docs", "/api/openapi.json", "/api/asyncapi.json"):
        tags = set()
        for coding in ("identity", "gzip", "br", "zstd"):
            first = await api.client.get(address, headers={"Accept-Encoding": coding})
            assert (first.status, first.headers["Cache-Control"]) == (200, "no-cache")
            tags.add(tag := first.headers["ETag"])
            known = {"Accept-Encoding": coding, "If-None-Match": f'"other", {tag}'}
            again = await api.client.get(address, headers=known)
            assert (again.status, again.headers["ETag"], await again.read()) == (304, tag, b"")
        assert len(tags) == 4, "other bytes, another tag"


async def test_the_page_of_a_missing_address_leads_back(api: Api) -> None:
    reply = await api.client.get("/nothing")
    page = await reply.text()
    assert (reply.status, reply.content_type) == (404, "text/html")
    assert 'href="/"' in page
    assert 'href="/api/docs"' in page
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    assert "<script" not in page


async def test_what_aiohttp_answers_itself_is_a_problem(api: Api) -> None:
    reader, writer = await asyncio.open_connection(str(api.client.host), api.client.port)
    host = f"Host: {api.client.host}:{api.client.port}"
    writer.write(f"GET /api/orders HTTP/1.1\r\n{host}\r\nExpect: miracles\r\n\r\n".encode())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HANGS)
    assert b" 417 " in head.partition(b"\r\n")[0]
    assert b"application/problem+json" in head
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
