"""Listens to a channel over a connection of its own, which tells when messages may have been missed."""

import asyncio
import socket
import sys
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, NoReturn

from redis.asyncio import Redis

from services.redis.wire import RedisWire, packed


def listening_options(url: str) -> dict[str, Any]:
    """Return the options of a client for `listen`."""
    # Hours without a message are normal, so the channel has no timeout; TCP keepalive detects a dead connection.
    probes = {socket.TCP_KEEPIDLE: 5, socket.TCP_KEEPINTVL: 2, socket.TCP_KEEPCNT: 3} if sys.platform == "linux" else {}
    alive = {"socket_keepalive": True, "socket_keepalive_options": probes} if not url.startswith("unix:") else {}
    return {"socket_timeout": None, **alive}


async def listen(redis: Redis, channel: str, subscribed: Callable[[], None], take: Callable[[bytes], None]) -> NoReturn:
    """Call ``take`` with each message as soon as it arrives, and ``subscribed`` before the first; raise RedisError.

    Messages published before ``subscribed`` may have been missed. An exception from ``take`` ends it.
    """
    ended: asyncio.Future[NoReturn] = asyncio.get_running_loop().create_future()

    def hear(message: Any) -> None:
        if isinstance(message, Exception):
            raise message
        if message[0] == b"message":
            take(message[2])
        elif message[0] == b"subscribe":
            subscribed()

    def lost(error: Exception) -> None:
        if not ended.done():
            ended.set_exception(error)

    async with aclosing(await RedisWire.open(redis, hear, lost)) as wire:
        wire.send(packed("SUBSCRIBE", channel))
        await ended
