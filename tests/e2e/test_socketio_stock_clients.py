"""Stock clients, JavaScript and Python, with the conformance server as a process of its own."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import socketio

from services.embedded.ports import free_port
from tests.waiting import HANGS

ROOT = Path(__file__).resolve().parents[2]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url() -> AsyncIterator[str]:
    """Start the conformance server; its log must stay empty of faults."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        # It pings as often as for the official suites, and a client that a busy machine keeps waiting may pong late.
        *[sys.executable, "-m", "tests.conformance.server", "--port", str(port), "--ping-timeout", "20"],
        cwd=ROOT,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    address = f"http://127.0.0.1:{port}"
    await _until_it_answers(address)
    yield address
    process.terminate()
    _, errors = await process.communicate()
    assert errors == b""


async def _until_it_answers(address: str) -> None:
    async with asyncio.timeout(HANGS), aiohttp.ClientSession() as http:
        while True:
            try:
                async with http.get(address):
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("transports", "last"), [("polling", "polling"), ("websocket", "websocket"), ("polling,websocket", "websocket")]
)
async def test_the_javascript_client_finds_all_it_expects(url: str, transports: str, last: str) -> None:
    script = ROOT / "tests/e2e/js/echo.mjs"
    process = await asyncio.create_subprocess_exec(
        *["node", str(script), url, transports],
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(HANGS):
            output, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode == 0, errors.decode()

    result: dict[str, Any] = json.loads(output)
    assert result.pop("first") in transports
    assert result.pop("malformed") in {"transport close", "transport error"}
    assert result == {
        "errors": [],
        "auth": {"token": "abc"},
        "inOrder": True,
        "plain": True,
        "binary": ["010203", "0405", ""],
        "ack": 7,
        "acks": [1, 2, 3],
        "binaryAck": "ff00",
        "customAuth": {"as": "guest"},
        "custom": "over there",
        "unknown": "Invalid namespace",
        "stillHere": "still here",
        "last": last,
    }


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], ["polling", "websocket"]], ids="-".join)
async def test_the_python_client_finds_all_it_expects(url: str, transports: list[str]) -> None:
    client = socketio.AsyncClient(reconnection=False, request_timeout=HANGS)
    backs: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
    auths: asyncio.Queue[Any] = asyncio.Queue()
    client.on("message-back", lambda *args: backs.put_nowait(args))
    client.on("auth", auths.put_nowait)
    client.on("auth", auths.put_nowait, namespace="/custom")
    async with asyncio.timeout(HANGS):
        both, auth = ["/", "/custom"], {"token": "abc"}
        await client.connect(url, auth=auth, transports=transports, namespaces=both, wait_timeout=HANGS)
        assert [await auths.get(), await auths.get()] == [{"token": "abc"}, {"token": "abc"}]

        for number in range(50):
            await client.emit("message", number)
        assert [await backs.get() for _ in range(50)] == [(number,) for number in range(50)]

        await client.emit("message", (b"\x01\x02", {"deep": [b"\x03"]}))
        assert await backs.get() == (b"\x01\x02", {"deep": [b"\x03"]})
        assert await client.call("message-with-ack", ("a", b"\xff")) == ("a", b"\xff")
        assert client.transport() == transports[-1]

        await asyncio.sleep(1.2)  # several heartbeats
        assert await client.call("message-with-ack", "still here") == "still here"
        await client.disconnect()
    assert backs.empty()


async def test_the_python_client_is_told_that_a_namespace_does_not_exist(url: str) -> None:
    client = socketio.AsyncClient(reconnection=False, request_timeout=HANGS)
    with pytest.raises(socketio.exceptions.ConnectionError):
        async with asyncio.timeout(HANGS):
            await client.connect(url, namespaces=["/unknown"], wait_timeout=HANGS)
    await client.disconnect()
