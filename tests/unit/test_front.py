"""The front of the server: who is let through to a websocket, who to aiohttp, and who says nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from services.gateway.edge.front import Front
from services.gateway.edge.takeover import give
from services.gateway.wire.handshake import Handshake

HANDSHAKE = b"GET /socket.io/?EIO=4 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"


class Say(asyncio.Protocol):
    """Says its word, then back what it hears."""

    def __init__(self, word: bytes) -> None:
        self._word = word

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._word)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


@dataclass
class Doorman:
    """Opens a websocket to those it may, and remembers what was asked."""

    lets: bool = True
    asked: list[Handshake] = field(default_factory=list)

    def open(self, request: Handshake, transport: asyncio.Transport) -> bool:
        self.asked.append(request)
        if self.lets:
            give(transport, Say(b"websocket "))
        return self.lets


@asynccontextmanager
async def front(doorman: Doorman, silence: float = 20.0) -> AsyncIterator[int]:
    async with Front(lambda: Say(b"aiohttp "), doorman.open, silence).listening("127.0.0.1", 0) as port:
        yield port


async def answer(port: int, *parts: bytes) -> bytes:
    """Return what is said until our last part has come back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(10):
        said = b""
        for part in parts:
            writer.write(part)
            said += await reader.readuntil(part) if part != HANDSHAKE else await reader.read(1000)
        writer.close()
    return said


async def test_who_asks_for_a_websocket_gets_it() -> None:
    doorman = Doorman()
    async with front(doorman) as port:
        assert await answer(port, HANDSHAKE, b"hello") == b"websocket hello"
    assert [request.remote for request in doorman.asked] == ["127.0.0.1"]


async def test_who_does_not_get_one_is_answered_by_aiohttp() -> None:
    doorman = Doorman(lets=False)
    async with front(doorman) as port:
        assert await answer(port, HANDSHAKE, b"more") == b"aiohttp " + HANDSHAKE + b"more"
    assert len(doorman.asked) == 1  # not again at what comes later


async def test_who_says_anything_else_is_answered_by_aiohttp() -> None:
    doorman = Doorman()
    async with front(doorman) as port:
        assert await answer(port, b"\x16\x03\x01", b"more") == b"aiohttp \x16\x03\x01more"
    assert not doorman.asked


async def test_who_says_nothing_is_cut_off() -> None:
    async with front(Doorman(), silence=0.05) as port, asyncio.timeout(10):
        spoken, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"x")
        assert await spoken.readexactly(9) == b"aiohttp x"
        silent, other = await asyncio.open_connection("127.0.0.1", port)
        assert await _end(silent) == b""
        writer.write(b"y")
        assert await spoken.readexactly(1) == b"y"
        writer.close()
        other.close()


async def test_who_has_said_nothing_is_cut_off_in_the_end() -> None:
    async with asyncio.timeout(10):
        async with front(Doorman()) as port:
            silent, writer = await asyncio.open_connection("127.0.0.1", port)
            spoken, other = await asyncio.open_connection("127.0.0.1", port)
            other.write(b"x")  # so that the server has accepted the one before, too
            await spoken.readexactly(9)
        assert await _end(silent) == b""
        writer.close()
        other.close()


async def _end(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
