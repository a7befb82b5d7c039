"""Runs Lua scripts in Redis over one connection that is held open."""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any

from hiredis import PushNotification
from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from services.redis_wire import RedisWire, packed

Argument = str | bytes

# Goes ahead of each script: Redis and Valkey write first to whom they had something to say last. As we are due a reply
# before the script publishes, they write to the subscribers before us, who are 0.05 ms sooner to know of each change.
_FIRST = packed("PING")


class Scripts:
    """The way to Redis for one that runs scripts one after the other."""

    def __init__(self, redis: Redis, seconds: float) -> None:
        self._redis = redis
        self._seconds = seconds
        self._wire: RedisWire | None = None
        self._script = ""
        self._command = ("", "")
        self._arguments: tuple[Argument | int, ...] = ()
        self._reply: asyncio.Future[Any] | None = None
        self._first_is_due = False

    async def run(self, script: str, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run a script and return its reply; raise RedisError, OSError or TimeoutError.

        After a failure it is not known whether the script ran.
        """
        self.send(script, keys, args)
        return await self.reply()

    def send(self, script: str, keys: Sequence[str], args: Sequence[Argument]) -> None:
        """Have a script run: at once where there is a connection, otherwise when its `reply` is waited for."""
        self._script, self._arguments = script, (len(keys), *keys, *args)
        self._send("EVALSHA", _digest(script))

    async def reply(self) -> Any:
        """Wait for the reply to what was sent last, and return or raise as `run`."""
        try:
            return await self._replied()
        except NoScriptError:  # it is new here, or Redis was restarted or emptied
            self._send("EVAL", self._script)
            return await self._replied()

    async def aclose(self) -> None:
        """Give the connection up."""
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.aclose()

    def _send(self, command: str, script: str) -> None:
        self._command = command, script
        is_answered = self._reply is None or self._reply.done()  # or it might be taken for the answer to this one
        self._reply = None
        if is_answered and self._wire is not None and self._wire.is_open:
            self._reply = self._write(self._wire)

    def _write(self, wire: RedisWire) -> "asyncio.Future[Any]":
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._first_is_due = True
        wire.send(*self._command, *self._arguments, first=_FIRST)
        return reply

    async def _replied(self) -> Any:
        try:
            async with asyncio.timeout(self._seconds):
                if self._reply is None:
                    self._reply = self._write(await self._connected())
                return await self._reply
        except NoScriptError:
            raise
        except BaseException:
            await self.aclose()  # it may still be on its way
            raise

    async def _connected(self) -> RedisWire:
        await self.aclose()  # it was lost while nothing was asked, or nobody has waited for a reply
        self._wire = await RedisWire.open(self._redis, self._take, self._lost)
        return self._wire

    def _take(self, reply: Any) -> None:
        if self._reply is None or self._reply.done() or isinstance(reply, PushNotification):
            return  # nobody has asked for it
        if self._first_is_due:
            self._first_is_due = False
        elif isinstance(reply, Exception):
            self._reply.set_exception(reply)
        else:
            self._reply.set_result(reply)

    def _lost(self, error: Exception) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(error)


_digests: dict[str, str] = {}


def _digest(script: str) -> str:
    found = _digests.get(script)
    if found is None:
        found = _digests[script] = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
    return found
