"""Runs Lua scripts in Redis over one connection that is held open."""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any

from hiredis import pack_command
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError

Argument = str | bytes


class Scripts:
    """The way to Redis for one that runs scripts one after the other.

    The client's own way to a script (pool, retries, callbacks) costs three times the CPU, and a tenth of a millisecond
    for each change on its way to the browser. Only its connection is used: it knows about TLS, passwords and Sentinel.
    """

    def __init__(self, redis: Redis, seconds: float) -> None:
        self._pool = redis.connection_pool
        self._seconds = seconds
        self._connection: AbstractConnection | None = None

    async def run(self, script: str, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run a script and return its reply; raise RedisError, OSError or TimeoutError.

        After a failure it is not known whether the script ran.
        """
        try:
            async with asyncio.timeout(self._seconds):
                try:
                    return await self._call("EVALSHA", _digest(script), len(keys), *keys, *args)
                except NoScriptError:  # it is new here, or Redis was restarted or emptied
                    return await self._call("EVAL", script, len(keys), *keys, *args)
        except BaseException:
            # A reply may still be on its way: nobody may take it for the answer to the next question.
            await self.close()
            raise

    async def close(self) -> None:
        """Give the connection up."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)
            await self._pool.release(connection)

    async def _call(self, *command: str | bytes | int) -> Any:
        if self._connection is None:
            self._connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        packed = pack_command(command)  # type: ignore[arg-type]  # the stub knows tuples of one only
        await self._connection.send_packed_command([packed], check_health=False)
        return await self._connection.read_response()


_digests: dict[str, str] = {}


def _digest(script: str) -> str:
    found = _digests.get(script)
    if found is None:
        found = _digests[script] = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
    return found
