"""Errors below the application are answered as problems, and logged if they are our own fault."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from services.front import bodies
from services.front.bodies import drain_unread_body, refuse_encoded
from services.front.checks import checking
from services.front.runner import Runner
from tests.waiting import HANGS


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[Any]]:
    """Yield our own lines; the libraries must log none."""
    caplog.set_level(logging.INFO)
    with capture_logs() as lines:
        yield lines
    assert caplog.records == []


async def fail(request: web.Request) -> web.StreamResponse:
    raise ValueError("a fault of ours")


async def fail_in_the_middle(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"begun")
    raise ValueError("a fault of ours")


async def lose(request: web.Request) -> web.StreamResponse:
    raise ConnectionResetError("the client has left")


@pytest.fixture
def _drains_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the rest of a body that does not come less time than in operation, for the test waits as long."""
    monkeypatch.setattr(bodies, "DRAINED_SECONDS", 0.5)


@asynccontextmanager
async def server() -> AsyncIterator[int]:
    app = web.Application(middlewares=[drain_unread_body, checking(refuse_encoded)])
    app.add_routes([web.get("/fail", fail), web.get("/middle", fail_in_the_middle), web.get("/lose", lose)])
    runner = Runner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def response_to(port: int, request: bytes) -> tuple[bytes, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(HANGS):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return head, body


async def test_an_internal_error_is_logged_under_the_number_that_the_client_gets(lines: list[Any]) -> None:
    async with server() as port:
        head, body = await response_to(port, b"GET /fail HTTP/1.1\r\nHost: x\r\nSecret: do not log\r\n\r\n")
    problem = json.loads(body)
    assert (head.split()[1], problem["status"]) == (b"500", 500)
    (line,) = lines
    assert (line["incident"], line["path"], str(line["exc_info"])) == (problem["incident"], "/fail", "a fault of ours")
    assert "do not log" not in str(line)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 9000 + b"\r\n\r\n", b"431"),
    ],
)
async def test_a_malformed_request_is_answered_and_not_logged(lines: list[Any], request_: bytes, status: bytes) -> None:
    async with server() as port:
        head, body = await response_to(port, request_)
    assert head.split()[1] == status
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == int(status)
    assert lines == []


async def test_a_client_that_has_left_is_no_fault_of_ours(lines: list[Any]) -> None:
    async with server() as port:
        await response_to(port, b"GET /lose HTTP/1.1\r\nHost: x\r\n\r\n")
    assert lines == []


async def test_a_failure_in_the_middle_of_an_answer_ends_the_connection(lines: list[Any]) -> None:
    async with server() as port:
        head, body = await response_to(port, b"GET /middle HTTP/1.1\r\nHost: x\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert body.endswith(b"begun\r\n")
    assert [str(line["exc_info"]) for line in lines] == ["a fault of ours"]


@pytest.mark.usefixtures("_drains_for_a_moment")
@pytest.mark.parametrize("address", ["/", "/fail", "/nothing"])
async def test_a_compressed_body_is_refused_at_every_address(lines: list[Any], address: str) -> None:
    head = f"POST {address} HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 1000000\r\n\r\n"
    async with server() as port:
        answer, _ = await response_to(port, head.encode() + bytes(500_000))
    assert b" 415 " in answer
    assert b"Connection: close" in answer
    assert lines == []


@pytest.mark.usefixtures("_drains_for_a_moment")
async def test_the_rest_of_a_body_that_does_not_come_is_not_waited_for(lines: list[Any]) -> None:
    async with server() as port:
        answer, _ = await response_to(port, b"POST /fail HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
    assert b" 405 " in answer
    assert lines == []
