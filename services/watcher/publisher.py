"""Writes changes to the log in Redis by scripts, and is the only file of the watcher that talks to Redis."""

import asyncio
from collections.abc import Awaitable, Sequence
from enum import Enum
from importlib.resources import files
from math import inf
from time import monotonic
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.common.cursor import Position
from services.common.keys import StreamKeys
from services.common.normalize import Change, EpochReason
from services.common.outage import Outage
from services.watcher.script import Scripts
from services.watcher.start import Head

TIMEOUT_SECONDS = 5.0
LOOK_SECONDS = 1.0  # a lease that has come free waits for no longer than that
# To trim the log and to renew the sign of life is a quarter of the script's work: not with each lone change. Redis
# trims by the hundred anyway, and gateways doubt a watcher only after seconds.
KEEP_CHANGES = 100
KEEP_SECONDS = 0.5


def _script(name: str) -> str:
    return files("services.watcher").joinpath(f"{name}.lua").read_text("utf-8")


CLAIM, BEGIN, PUBLISH = _script("claim"), _script("begin"), _script("publish")


class LogUnavailable(Exception):
    """Redis cannot be written now: gone, full, read-only, or loading. Trying again later may help."""


class Fenced(Exception):
    """A watcher of a newer lease term, ``term``, has claimed the log: this one must stop."""

    def __init__(self, term: int) -> None:
        super().__init__(f"term {term} has claimed the log")
        self.term = term


async def look(redis: Redis, outage: Outage) -> None:
    """Find out whether Redis answers: for a watcher that stands by, which asks it nothing else."""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            await redis.ping()
    except (RedisError, OSError) as error:
        outage.failed(error)
    else:
        outage.worked()


class Published(Enum):
    """What the log says to a batch."""

    OK = "ok"
    GAP = "gap"  # the log ends before the batch begins: Redis lost data


class Publisher:
    """The write side of one stream's log, for one lease term."""

    def __init__(self, redis: Redis, keys: StreamKeys, term: int, maxlen: int) -> None:
        self._keys = keys
        self._term = str(term)
        self._maxlen = str(maxlen)
        self._kept_at = -inf
        self._since_kept = 0
        self._scripts = Scripts(redis, TIMEOUT_SECONDS)

    async def aclose(self) -> None:
        """Give the connection up."""
        await self._scripts.aclose()

    async def claim(self) -> Head | None:
        """Shut out watchers of older terms and return the head, or None where the log is not whole."""
        reply = await self._run(CLAIM, [self._keys.head, self._keys.log], [self._term])
        if len(reply) == 1:
            return None
        return Head(epoch=reply[1].decode(), position=Position.parse(reply[2].decode()), token=reply[3].decode())

    async def begin(self, epoch: str, reason: EpochReason | None, floor: Position, token: str) -> None:
        """Empty the log and begin it after ``floor``; ``reason`` is why the epoch is new, if it is."""
        keys = [self._keys.head, self._keys.log, self._keys.channel]
        await self._run(BEGIN, keys, [self._term, epoch, reason or "", str(floor), token])

    def send(self, epoch: str, prev: Position, changes: Sequence[Change]) -> None:
        """Have the changes that follow ``prev`` appended, the gateways told, and let `answer` tell what became of it.

        Those that are there already are left out. With no changes, ask whether the log still ends at ``prev``, and
        leave a sign of life.
        """
        maxlen = self._maxlen if changes and self._keeping_is_due(len(changes)) else ""
        args: list[str | bytes] = [self._term, epoch, str(prev), maxlen, changes[-1].token if changes else ""]
        for change in changes:
            args += str(change.position), change.envelope, change.before
        self._scripts.send(PUBLISH, [self._keys.head, self._keys.log, self._keys.channel], args)

    def _keeping_is_due(self, changes: int) -> bool:
        self._since_kept += changes
        now = monotonic()
        if self._since_kept < KEEP_CHANGES and now - self._kept_at < KEEP_SECONDS:
            return False
        self._since_kept, self._kept_at = 0, now
        return True

    async def answer(self) -> Published:
        """Wait until the log has what was sent last; raise LogUnavailable or Fenced."""
        reply = await _translated(self._scripts.reply())
        return Published.OK if reply[0] == b"OK" else Published.GAP

    async def _run(self, script: str, keys: list[str], args: Sequence[str | bytes]) -> list[Any]:
        return await _translated(self._scripts.run(script, keys, args))


async def _translated(replied: Awaitable[list[Any]]) -> list[Any]:
    try:
        reply = await replied
    except (RedisError, OSError) as error:
        raise LogUnavailable(str(error)) from error
    if reply[0] == b"FENCED":
        raise Fenced(int(reply[1]))
    return reply
