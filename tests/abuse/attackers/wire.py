"""Connections as an attacker opens them, and the bytes that it sends, without the code under test."""

import asyncio
import base64
import json
import os
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from tests.abuse.attackers.attacker import Tally, Target
from tests.unit.websocket_client import TEXT, frame
from tests.waiting import cancel_all

ENGINE = "/socket.io/?EIO=4&transport="
_BIND_ADDRESS_NO_PORT = 24  # Linux: the port is chosen when connecting, so that closed connections do not use them up
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)


class Refused(Exception):
    """The server would not have the attacker."""


class Answer(NamedTuple):
    """What the server answered to a request."""

    status: int
    head: bytes
    body: bytes


CUT = (OSError, EOFError, Refused, asyncio.LimitOverrunError)
"""How an attempt ends when the server does not go along with it."""


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tally: Tally) -> None:
        self.reader = reader
        self.writer = writer
        self._tally = tally

    async def send(self, *data: bytes) -> None:
        if self.writer.transport.is_closing():  # asyncio warns of it, uvloop refuses
            raise ConnectionResetError
        for piece in data:
            self.writer.write(piece)
            self._tally["bytes sent"] += len(piece)
        await self.writer.drain()

    async def text(self, *packets: bytes) -> None:
        """Send text frames."""
        await self.send(b"".join(frame(TEXT, packet) for packet in packets))

    async def head(self) -> bytes:
        """Return the head of an answer, and count its status."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        self._tally[f"HTTP {head[9:12].decode(errors='replace')}"] += 1
        return head

    async def answer(self) -> Answer:
        head = await self.head()
        if _CHUNKED.search(head):
            body = await self._chunks()
        else:
            length = _LENGTH.search(head)
            body = await self.reader.readexactly(int(length[1])) if length else b""
        self._tally["bytes received"] += len(head) + len(body)
        return Answer(int(head[9:12]), head, body)

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            body += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readexactly(2)
        return body

    async def ask(self, data: bytes) -> Answer:
        await self.send(data)
        return await self.answer()

    async def swallow(self) -> None:
        """Read and forget until the server hangs up."""
        with suppress(OSError):
            while data := await self.reader.read(1 << 18):
                self._tally["bytes received"] += len(data)

    @asynccontextmanager
    async def swallowing(self) -> AsyncIterator[None]:
        """Do so meanwhile."""
        task = asyncio.create_task(self.swallow())
        try:
            yield
        finally:
            await cancel_all(task)

    async def receive(self) -> bytes:
        """Return the payload of the next frame."""
        size = (await self.reader.readexactly(2))[1]
        if size >= 126:
            size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
        self._tally["bytes received"] += size
        return await self.reader.readexactly(size)


@asynccontextmanager
async def wire(target: Target, tally: Tally, *, port: int = 0, window: int = 0) -> AsyncIterator[Wire]:
    """Open a connection; a small ``window`` keeps the kernel from taking what the attacker does not read."""
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    try:
        sock.setblocking(False)
        if window:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        with suppress(OSError):  # Linux only
            sock.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
        sock.bind((target.source, 0))
        await loop.sock_connect(sock, (target.host, port or target.port))
        reader, writer = await asyncio.open_connection(sock=sock, limit=window or 1 << 22)
    except BaseException:
        sock.close()
        raise
    tally["connections"] += 1
    try:
        yield Wire(reader, writer, tally)
    finally:
        writer.transport.abort()


def request(method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """Return a whole request."""
    fields = {"Host": "localhost", **({"Content-Length": str(len(body))} if body else {}), **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


def json_request(method: str, path: str, body: bytes) -> bytes:
    return request(method, path, body, {"Content-Type": "application/json"})


def upgrade_request(sid: str = "", headers: Mapping[str, str] | None = None) -> bytes:
    """Ask for a websocket, of a session where ``sid`` names one."""
    fields = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
        **(headers or {}),
    }
    return request("GET", f"{ENGINE}websocket" + (f"&sid={sid}" if sid else ""), headers=fields)


@asynccontextmanager
async def websocket(
    target: Target, tally: Tally, *, sid: str = "", auth: object = None, join: bool = True, window: int = 0
) -> AsyncIterator[Wire]:
    """Open a websocket; ``join`` the orders with ``auth``, without waiting for the answer."""
    async with wire(target, tally, window=window) as ws:
        await ws.send(upgrade_request(sid))
        if b" 101 " not in (await ws.head())[:16]:
            raise Refused
        if join:
            await ws.text(b"40" + (b"" if auth is None else json.dumps(auth).encode()))
        yield ws


async def forever(attempt: Callable[[], Awaitable[None]], tally: Tally, *, at_once: int = 1) -> None:
    """Do it again and again, so many at once; where the server cuts an attempt off, begin anew."""

    async def repeat() -> None:
        while True:
            try:
                await attempt()
                await asyncio.sleep(0)
            except CUT:
                tally["cut"] += 1
                await asyncio.sleep(0.01)

    await asyncio.gather(*(repeat() for _ in range(at_once)))


async def ask_forever(target: Target, tally: Tally, requests: list[bytes], *, at_once: int) -> None:
    """Send the requests one after the other, on connections that are kept."""

    async def attempt() -> None:
        async with wire(target, tally) as connection:
            while True:
                for data in requests:
                    answer = await connection.ask(data)
                    if b"onnection: close" in answer.head:
                        raise EOFError

    await forever(attempt, tally, at_once=at_once)
