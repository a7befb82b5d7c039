"""Notes when each change can be read by our watcher, and by our gateway: `python -m bench.load.witness`."""

import asyncio
import sys
from typing import Any, cast
from urllib.parse import urlsplit

from pymongo import AsyncMongoClient

from bench.load.arrivals import Arrivals
from bench.load.commands import serve
from bench.load.stamped import StampedReader
from services.mongodb.change_cursor import Documents
from services.mongodb.change_reader import StartAt
from services.mongodb.change_stream import ChangeStream
from services.mongodb.cursor_choice import CursorChoice
from services.mongodb.primary import Primary
from services.redis.schema import StreamKeys

EVENT = b'"operation":'  # once in each envelope, and each is once in a message


class Witness:
    """Runs beside the two services: reads the stream as the watcher does, and the channel as the gateway does."""

    def __init__(self, mongodb_uri: str, redis_url: str) -> None:
        self._mongodb_uri = mongodb_uri
        redis = urlsplit(redis_url)
        self._redis = redis.hostname or "127.0.0.1", redis.port or 6379
        self._cursors = CursorChoice()
        self._stream = Arrivals()
        self._channel = Arrivals()

    async def open(self) -> None:
        """Begin to listen on both."""
        opened = asyncio.Event()
        self._task = asyncio.create_task(self._follow_stream(opened))
        subscription = _Subscription(self._channel)
        await asyncio.get_running_loop().create_connection(lambda: subscription, *self._redis)
        async with asyncio.timeout(10):
            await opened.wait()
            await subscription.begun.wait()

    async def _follow_stream(self, opened: asyncio.Event) -> None:
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(self._mongodb_uri)
        changes = ChangeStream(client.get_default_database(), "orders", Primary(), 60, self._cursors.open)
        now = StartAt((await changes.deployment()).now + 1)
        async with client, changes.open(now, batch_size=1000) as stream:
            opened.set()
            while True:
                await stream.next(self._came)

    def _came(self, changes: Documents) -> None:
        self._stream.came(len(changes))

    async def read(self, count: int) -> dict[str, Any]:
        """Return when each of ``count`` changes was read from stream and channel, and the cursor that was used."""
        stream, channel = await self._stream.first(count), await self._channel.first(count)
        return {"stream": stream, "cursor": self._cursors.name, "channel": channel}


class _Subscription(asyncio.Protocol):
    """A raw subscriber, timed by the kernel as the clients are."""

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self.begun = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        both = cast("asyncio.Transport", transport)
        both.write(f"SUBSCRIBE {StreamKeys.of('orders').channel}\r\n".encode())
        asyncio.get_running_loop().call_soon(StampedReader, both, self._take)  # uvloop begins to read after this

    def _take(self, data: bytes, arrived: float) -> None:
        self.begun.set()
        self._arrivals.came(data.count(EVENT), arrived)


if __name__ == "__main__":
    serve(Witness(*sys.argv[1:]))
