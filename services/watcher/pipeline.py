"""Pipelines commands to Redis over one persistent connection."""

import asyncio
from collections.abc import Sequence
from typing import Any

from hiredis import PushNotification
from redis.asyncio import Redis

from services.redis.wire import RedisWire


class Pipeline:
    """A pipeline for one caller, who awaits all replies before sending again."""

    def __init__(self, redis: Redis, seconds: float) -> None:
        self._redis = redis
        self._seconds = seconds
        self._wire: RedisWire | None = None
        self._commands: Sequence[bytes] = ()
        self._received: list[Any] = []
        self._replies: asyncio.Future[list[Any]] | None = None

    def send(self, commands: Sequence[bytes]) -> None:
        """Send packed commands: at once if there is a connection, otherwise when `replies` is awaited.

        Redis reads commands that are sent together, and replies to them, together.
        """
        is_answered = self._pending is None  # or a late reply could be mistaken for the reply to this
        self._commands, self._replies = commands, None
        if self._wire is not None and self._wire.is_open and is_answered:
            self._replies = self._write(self._wire)

    async def replies(self) -> list[Any]:
        """Wait for one reply to each command; error replies are among them.

        Raise RedisError, OSError or TimeoutError, after which it is unknown which commands were executed.
        """
        try:
            async with asyncio.timeout(self._seconds):
                if self._replies is None:
                    self._replies = self._write(await self._connect())
                return await self._replies
        except BaseException:
            await self.aclose()  # replies may still arrive
            raise

    async def aclose(self) -> None:
        """Close the connection."""
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.aclose()

    def _write(self, wire: RedisWire) -> "asyncio.Future[list[Any]]":
        replies: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._received = []
        wire.send(b"".join(self._commands))
        return replies

    async def _connect(self) -> RedisWire:
        await self.aclose()  # lost while idle, or its replies were never awaited
        self._wire = await RedisWire.open(self._redis, self._on_reply, self._on_lost)
        return self._wire

    def _on_reply(self, reply: Any) -> None:
        replies = self._pending
        if replies is None or isinstance(reply, PushNotification):
            return  # unsolicited
        self._received.append(reply)
        if len(self._received) == len(self._commands):
            replies.set_result(self._received)

    def _on_lost(self, error: Exception) -> None:
        if (replies := self._pending) is not None:
            replies.set_exception(error)

    @property
    def _pending(self) -> "asyncio.Future[list[Any]] | None":
        """The replies in flight."""
        return None if self._replies is None or self._replies.done() else self._replies
