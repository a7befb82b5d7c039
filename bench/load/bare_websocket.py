"""Writes a small frame to a connection, or reads it there: the bare websocket hop."""

import asyncio
from time import perf_counter
from typing import Any, cast

from bench.load.arrivals import Arrivals
from bench.load.commands import serve
from bench.load.stamped import StampedReader

FRAME = b"\x81\x7e\x01\x2c" + b"x" * 300


class _Reader(asyncio.Protocol):
    def __init__(self, arrived: Arrivals) -> None:
        self._arrived = arrived

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        asyncio.get_running_loop().call_soon(self._begin, transport)  # uvloop begins to read only after this

    def _begin(self, transport: asyncio.BaseTransport) -> None:
        self._reader = StampedReader(cast("asyncio.Transport", transport), self._take)

    def _take(self, data: bytes, when: float) -> None:
        self._arrived.came(len(data) // len(FRAME), when)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._reader.close()


class BareWebSocket:
    """One end of the hop; the receiver is the one that listens, because it gets its command first."""

    def __init__(self) -> None:
        self._arrived = Arrivals()

    async def listen(self) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Reader(self._arrived), "127.0.0.1", 0)
        return {"port": self._server.sockets[0].getsockname()[1]}

    async def prepare(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_connection(asyncio.Protocol, "127.0.0.1", port)

    async def send(self, count: int, rate: float) -> dict[str, Any]:
        """Send at a fixed pace; return the start time of each send."""
        sent = []
        for _ in range(count):
            await asyncio.sleep(1 / rate)
            sent.append(perf_counter())
            self._transport.write(FRAME)
        return {"sent": sent}

    async def receive(self, count: int) -> dict[str, Any]:
        """Return when each of ``count`` frames came."""
        return {"arrived": await self._arrived.first(count)}


if __name__ == "__main__":
    serve(BareWebSocket())
