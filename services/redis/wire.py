"""Talks to Redis over a dedicated connection, to read replies without the overhead of redis-py.

redis-py's own read path (a buffered stream, a waiting task, checks for each reply) adds a tenth of a millisecond of
latency to each change. redis-py still decides where to connect, with which credentials and certificates; hiredis, its
parser, parses the replies. Checked against redis 8: a connection that was never opened says by its attributes how it
would be.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, Self, cast

from hiredis import Reader, pack_command
from redis.asyncio import Redis
from redis.exceptions import (
    AuthenticationError,
    ConnectionError,  # noqa: A004
    InvalidResponse,
    NoScriptError,
    OutOfMemoryError,
    ResponseError,
)

from services.common.error_text import error_text
from services.redis.client import MovingConnection

_INCOMPLETE = object()
# The errors that a caller can handle, by their code, the first word of the message.
_KINDS = {"NOSCRIPT": NoScriptError, "NOAUTH": AuthenticationError, "WRONGPASS": AuthenticationError}


def packed(*command: str | bytes | int) -> bytes:
    """Return the command in Redis's wire format."""
    return cast("bytes", pack_command(command))  # type: ignore[arg-type]  # the stub knows tuples of one only


class RedisWire(asyncio.Protocol):
    """One connection in RESP3: ``on_reply`` is called with each reply; an error of Redis arrives as an exception.

    When the connection ends, unless by `aclose`, ``on_lost`` is called with the reason: a ConnectionError of redis-py,
    or the exception that ``on_reply`` raised.
    """

    def __init__(self, on_reply: Callable[[Any], None], on_lost: Callable[[Exception], None]) -> None:
        self._on_reply = on_reply
        self._on_lost = on_lost
        self._replies = Reader(protocolError=InvalidResponse, replyError=_error, notEnoughData=_INCOMPLETE)
        self.is_open = True
        self._closed = asyncio.Event()

    @classmethod
    async def open(cls, redis: Redis, on_reply: Callable[[Any], None], on_lost: Callable[[Exception], None]) -> Self:
        """Connect as ``redis`` would; raise RedisError."""
        plan = redis.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # never connected: only a template
        try:
            async with asyncio.timeout(plan.socket_connect_timeout):
                return await cls._connected(plan, on_reply, on_lost)
        except TimeoutError as error:
            raise ConnectionError(f"no answer from Redis within {plan.socket_connect_timeout} s") from error
        except OSError as error:
            raise ConnectionError(f"no connection to Redis: {error_text(error)}") from error

    @classmethod
    async def _connected(cls, plan: Any, on_reply: Callable[[Any], None], on_lost: Callable[[Exception], None]) -> Self:
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        wire = cls(partial(_on_handshake_reply, ready), partial(_fail_handshake, ready))
        await _connect(wire, plan)
        try:
            wire.send(_handshake(plan))
            await ready
        except BaseException:
            await wire.aclose()
            raise
        if not wire.is_open:
            raise ConnectionError("Redis has closed the connection")
        wire._on_reply, wire._on_lost = on_reply, on_lost
        return wire

    def send(self, commands: bytes) -> None:
        """Send packed commands, one or several; no effect once the connection is closed."""
        self._transport.write(commands)

    async def aclose(self) -> None:
        """Close the connection; replies in flight are lost."""
        self.is_open = False
        self._transport.abort()
        await self._closed.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(0)  # or uvloop would send only after all other ready callbacks

    def data_received(self, data: bytes) -> None:
        """Deliver complete replies."""
        try:
            self._replies.feed(data)
            while self.is_open and (reply := self._replies.gets()) is not _INCOMPLETE:
                self._on_reply(reply)
        except Exception as error:  # noqa: BLE001 - for the caller, not for the event loop
            self._end(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Report it."""
        self._closed.set()
        self._end(ConnectionError(f"the connection to Redis is closed: {exc or 'by the server'}"))

    def _end(self, error: Exception) -> None:
        if self.is_open:
            self.is_open = False
            self._transport.abort()
            self._on_lost(error)


async def _connect(wire: RedisWire, plan: Any) -> None:
    loop = asyncio.get_running_loop()
    if (path := getattr(plan, "path", None)) is not None:
        await loop.create_unix_connection(lambda: wire, path)
        return
    if isinstance(plan, MovingConnection):
        await plan.locate()
    secured = getattr(plan, "ssl_context", None)
    context: ssl.SSLContext | None = None if secured is None else secured.get()
    transport, _ = await loop.create_connection(lambda: wire, plan.host, plan.port, ssl=context)
    if plan.socket_keepalive:
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in plan.socket_keepalive_options.items():
            raw.setsockopt(socket.IPPROTO_TCP, option, value)


def _handshake(plan: Any) -> bytes:
    """Return the first commands of a connection: protocol, credentials, logical database."""
    user = ["AUTH", plan.username or "default", plan.password or ""] if plan.username or plan.password else []
    return packed("HELLO", 3, *user) + packed("SELECT", plan.db)


def _on_handshake_reply(ready: "asyncio.Future[None]", reply: Any) -> None:
    if isinstance(reply, Exception):
        raise reply
    if reply == b"OK":  # the reply to SELECT; HELLO's is a map
        ready.set_result(None)


def _fail_handshake(ready: "asyncio.Future[None]", error: Exception) -> None:
    if not ready.done():
        ready.set_exception(error)


def _error(text: str) -> Exception:
    # Redis 6.2 wraps an error within a script, so that the code is no longer the first word.
    if "OOM command not allowed" in text:
        return OutOfMemoryError(text)
    return _KINDS.get(text.partition(" ")[0], ResponseError)(text)
