"""Sends through a script with one PUBLISH, or receives on a raw connection: the bare Redis hop."""

import asyncio
import sys
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Redis

from bench.load.arrivals import Arrivals
from bench.load.commands import serve

CHANNEL = "bench:hop"
SCRIPT = "return redis.call('PUBLISH', KEYS[1], ARGV[1])"


class BareRedis:
    """One end of the hop."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._arrived = Arrivals()

    async def listen(self) -> None:
        """Subscribe on a plain connection; a message counts as arrived when its bytes are read."""
        parts = urlsplit(self._url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(f"SUBSCRIBE {CHANNEL}\r\n".encode())
        await reader.readuntil(b":1\r\n")
        self._task = asyncio.create_task(self._follow(reader))
        self._writer = writer

    async def _follow(self, reader: asyncio.StreamReader) -> None:
        while await reader.readuntil(b"}\r\n"):
            self._arrived.came()

    async def prepare(self, port: int | None) -> None:  # noqa: ARG002  # the address is that of Redis
        """Connect and load the script."""
        self._script = Redis.from_url(self._url).register_script(SCRIPT)
        await self._script(keys=["bench:nobody"], args=["{}"])

    async def send(self, count: int, rate: float) -> dict[str, Any]:
        """Send at a fixed pace; return the start time of each send."""
        message = "{" + "x" * 300 + "}"
        sent = []
        for _ in range(count):
            await asyncio.sleep(1 / rate)
            sent.append(perf_counter())
            await self._script(keys=[CHANNEL], args=[message])
        return {"sent": sent}

    async def receive(self, count: int) -> dict[str, Any]:
        """Return when each of ``count`` messages came."""
        return {"arrived": await self._arrived.first(count)}


if __name__ == "__main__":
    serve(BareRedis(sys.argv[1]))
