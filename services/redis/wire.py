"""Takes a connection over from redis-py, so that a reply is there once its bytes are; it alone knows redis-py's inside.

redis-py opens it: it knows about TLS, passwords, Sentinel and clusters. But its own way to a reply (a buffered stream,
a task that waits for it, checks for each) costs a tenth of a millisecond for each change on its way to the browser.
Checked against redis-py 8.1; that a connection has `_writer` and `_parser` is not documented.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Self, cast

from hiredis import Reader, pack_command
from redis.asyncio import ConnectionPool, Redis
from redis.exceptions import ConnectionError, InvalidResponse  # noqa: A004

_INCOMPLETE = object()


def packed(*command: str | bytes | int) -> bytes:
    """Return the command as it crosses the network."""
    return cast("bytes", pack_command(command))  # type: ignore[arg-type]  # the stub knows tuples of one only


class RedisWire(asyncio.Protocol):
    """One connection of its own: ``take`` is called with each reply, which is an exception where Redis says an error.

    When the connection is over, unless by `aclose`, ``lost`` is called with the reason: redis-py's ConnectionError, or
    what ``take`` raised.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        connection: Any,
        take: Callable[[Any], None],
        lost: Callable[[Exception], None],
    ) -> None:
        self._pool = pool
        self._connection = connection
        self._take = take
        self._lost = lost
        self._replies = Reader(
            protocolError=InvalidResponse,
            replyError=connection._parser.parse_error,  # noqa: SLF001
            notEnoughData=_INCOMPLETE,
        )
        self._transport = cast("asyncio.Transport", connection._writer.transport)  # noqa: SLF001
        self._streams = self._transport.get_protocol()
        self._transport.set_protocol(self)
        self._transport.set_write_buffer_limits(0)  # or uvloop sends only once all else that is due has run
        self.is_open = True

    @classmethod
    async def open(cls, redis: Redis, take: Callable[[Any], None], lost: Callable[[Exception], None]) -> Self:
        """Connect as ``redis`` would; raise RedisError or OSError."""
        pool = redis.connection_pool
        connection = await pool.get_connection()  # type: ignore[no-untyped-call]
        # Whatever was asked to open it has been answered: no reply is under way, nor in redis-py's own buffers.
        return cls(pool, connection, take, lost)

    def send(self, commands: bytes) -> None:
        """Send what `packed` made, or several of it together; without effect once the connection is over."""
        self._transport.write(commands)

    async def aclose(self) -> None:
        """Give the connection up; what has not come yet will not."""
        self.is_open = False
        await self._connection.disconnect(nowait=True)
        await self._pool.release(self._connection)

    def data_received(self, data: bytes) -> None:
        """Hand over what is complete."""
        try:
            self._replies.feed(data)
            while (reply := self._replies.gets()) is not _INCOMPLETE:
                self._take(reply)
        except Exception as error:  # noqa: BLE001 - whoever waits is to know it, not the event loop
            self._end(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Say so, to redis-py too, which may wait for it."""
        self._streams.connection_lost(exc)
        self._end(ConnectionError(f"the connection to Redis is over: {exc or 'it was closed there'}"))

    def _end(self, error: Exception) -> None:
        if self.is_open:
            self.is_open = False
            self._transport.abort()
            self._lost(error)
