"""Writes changes to the log in Redis, and makes room for them where Redis is full."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from enum import Enum
from math import inf
from time import monotonic
from typing import Any, NamedTuple

import structlog
from redis.asyncio import Redis
from redis.exceptions import NoScriptError, OutOfMemoryError, RedisError

from services.common.cursor import Position
from services.common.dependency_health import DependencyHealth
from services.common.error_text import error_text
from services.common.normalize import Change, EpochReason
from services.redis.schema import StreamKeys
from services.redis.wire import packed
from services.watcher.log_metrics import TrimReason
from services.watcher.log_size import LogSize, memory_of
from services.watcher.log_upkeep import TRIM
from services.watcher.pipeline import Pipeline
from services.watcher.script import Script
from services.watcher.start import PublishedHead

TIMEOUT_SECONDS = 5.0
PING_TIMEOUT_SECONDS = 1.0  # the longest that a ping delays taking over a free lease
# Trimming the log and renewing the heartbeat is a quarter of the script's work, too much for each single change. Redis
# trims by the hundred anyway, and gateways call a watcher silent only after seconds.
UPKEEP_CHANGES = 100
UPKEEP_BYTES = 1 << 20
UPKEEP_SECONDS = 0.5
# What is left of the log where Redis is full: enough for a gateway that was away for a moment, and too little to be
# worth the other data's place. Older cursors are served from the oplog.
LEAST_EVENTS = 100
LEAST_BYTES = 4 << 20
CALM_SECONDS = 60.0  # without trimming for lack of memory, after which that is over

CLAIM, RESTART, PUBLISH = Script.load("claim"), Script.load("restart"), Script.load("publish")

# Precedes each batch: Redis and Valkey flush clients in reverse order of their first pending reply. With a reply
# already pending, ours is flushed after the subscribers', who get each change 0.05 ms sooner.
_PING_FIRST = packed("PING")


log = structlog.get_logger("redis")


class PublishFailed(Exception):
    """Redis cannot be written now: down, full, read-only, or loading. A retry may succeed."""


class Fenced(Exception):
    """A watcher with a newer lease term, ``term``, has claimed the log: this one must stop."""

    def __init__(self, term: int) -> None:
        super().__init__(f"term {term} has claimed the log")
        self.term = term


async def ping(redis: Redis, health: DependencyHealth) -> None:
    """Check whether Redis answers: for a standby, which sends it nothing else."""
    try:
        async with asyncio.timeout(PING_TIMEOUT_SECONDS):
            await redis.ping()
    except (RedisError, OSError) as error:
        health.failed(error)
    else:
        health.succeeded()


class Published(Enum):
    """The outcome of a batch."""

    OK = "ok"
    GAP = "gap"  # the log ends before the batch begins: Redis lost data


class _Call(NamedTuple):
    """A script to run; the commands in ``ahead`` are sent with it, before it."""

    script: Script
    keys: Sequence[str]
    args: Sequence[str | bytes]
    ahead: tuple[bytes, ...] = ()


class Publisher:
    """The write side of one stream's log, for one lease term."""

    def __init__(
        self,
        redis: Redis,
        keys: StreamKeys,
        term: int,
        maxlen: int,
        max_bytes: int = sys.maxsize,
        trimmed: Callable[[TrimReason], None] = lambda _reason: None,
    ) -> None:
        self.size = LogSize()
        self._keys = keys
        self._all_keys = (keys.head, keys.log, keys.channel)
        self._term = str(term)
        self._maxlen = maxlen
        self._max_bytes = max_bytes
        self._trimmed = trimmed
        self._keep: int | None = None  # the most entries after the batch in flight
        self._pressed_at: float | None = None
        self._upkeep_at = -inf
        self._changes_since_upkeep = self._bytes_since_upkeep = 0
        self._pipeline = Pipeline(redis, TIMEOUT_SECONDS)
        self._batch: _Call | None = None
        self._events = self._content = 0  # in it: changes, and bytes of their envelopes and images

    async def aclose(self) -> None:
        """Close the connection."""
        await self._pipeline.aclose()

    async def claim(self) -> PublishedHead | None:
        """Fence off watchers of older terms; return the head, or None if the log is incomplete."""
        reply = await self._run(_Call(CLAIM, [self._keys.head, self._keys.log], [self._term]))
        if len(reply) == 1:
            self.size.reset()
            return None
        self.size.reset(reply[4], reply[5])
        return PublishedHead(
            epoch=reply[1].decode(), position=Position.parse(reply[2].decode()), token=reply[3].decode()
        )

    async def restart_log(self, epoch: str, reason: EpochReason | None, floor: Position, token: str) -> None:
        """Empty the log and restart it after ``floor``; ``reason`` says why the epoch is new, if it is."""
        await self._run(_Call(RESTART, self._all_keys, [self._term, epoch, reason or "", str(floor), token]))
        self.size.reset()

    def send(self, epoch: str, prev: Position, changes: Sequence[Change]) -> None:
        """Append the changes that follow ``prev`` and notify the gateways; `answer` awaits the outcome.

        Duplicates are skipped. With no changes, check that the log still ends at ``prev``, and renew the heartbeat.
        """
        self._events = len(changes)
        self._content = sum([len(change.envelope) + len(change.images) for change in changes])
        self._keep = self._most_kept() if changes and self._upkeep_is_due() else None
        maxlen = "" if self._keep is None else str(self._keep)
        token = changes[-1].token if changes else ""
        args: list[str | bytes] = [self._term, epoch, str(prev), maxlen, token]
        for change in changes:
            args += str(change.position), change.envelope, change.images
        self._batch = _Call(PUBLISH, self._all_keys, args, (_PING_FIRST,))
        self._send(self._batch)

    def _upkeep_is_due(self) -> bool:
        self._changes_since_upkeep += self._events
        self._bytes_since_upkeep += self._content
        now = monotonic()
        if (
            self._changes_since_upkeep < UPKEEP_CHANGES
            and self._bytes_since_upkeep < UPKEEP_BYTES
            and now - self._upkeep_at < UPKEEP_SECONDS
        ):
            return False
        self._changes_since_upkeep, self._bytes_since_upkeep, self._upkeep_at = 0, 0, now
        return True

    def _most_kept(self) -> int:
        """Return how many entries may stay, those of the batch included, which always do."""
        fitting = self.size.fitting(self._max_bytes - memory_of(self._events, self._content))
        return self._maxlen if fitting == self.size.events else min(self._maxlen, fitting + self._events)

    async def answer(self) -> Published:
        """Wait for the outcome of the batch sent last; raise PublishFailed or Fenced."""
        if self._batch is None:
            raise RuntimeError("nothing was sent")
        answer = await self._result(self._batch)
        if answer[0] != b"OK":
            return Published.GAP
        # Once, also where the first attempt was executed and its reply was lost.
        self.size.add(self._events, self._content)
        self._events = self._content = 0
        if dropped := answer[2]:
            self.size.drop(dropped)
            self._trimmed(TrimReason.EVENTS if self._keep == self._maxlen else TrimReason.BYTES)
        self._note_calm()
        return Published.OK

    async def _run(self, call: _Call) -> list[Any]:
        self._send(call)
        return await self._result(call)

    def _send(self, call: _Call) -> None:
        self._pipeline.send((*call.ahead, call.script.by_digest(call.keys, call.args)))

    async def _result(self, call: _Call) -> list[Any]:
        """Return the reply of the script sent last; raise PublishFailed or Fenced.

        A full Redis refuses it before it has done anything: then the log makes room, and the script is sent again.
        """
        reply = await self._reply(call)
        while isinstance(reply, OutOfMemoryError):
            await self._make_room(reply)
            self._send(call)
            reply = await self._reply(call)
        return await self._unwrap(reply)

    async def _reply(self, call: _Call) -> Any:
        *_, reply = await self._replies()
        if isinstance(reply, NoScriptError):  # its first use on this server, or Redis was restarted
            self._pipeline.send((*call.ahead, call.script.by_text(call.keys, call.args)))
            *_, reply = await self._replies()
        return reply

    async def _make_room(self, error: OutOfMemoryError) -> None:
        """Drop the oldest quarter of the log; raise PublishFailed where hardly anything is left of it."""
        trim = _Call(TRIM, [self._keys.head, self._keys.log], [self._term, "", str(LEAST_EVENTS), str(LEAST_BYTES)])
        self._send(trim)
        _, dropped, kept = await self._unwrap(await self._reply(trim))
        if not dropped:
            raise PublishFailed(
                f"OOM: Redis is full, and not of our log, which is down to its last {kept} changes: "
                "raise maxmemory, or remove other data"
            ) from error
        self.size.drop(dropped)
        self._trimmed(TrimReason.MEMORY)
        if self._pressed_at is None:
            log.warning("Redis is full (OOM), trimming the log to make room", dropped=dropped, kept=kept)
        self._pressed_at = monotonic()

    def _note_calm(self) -> None:
        if self._pressed_at is not None and monotonic() - self._pressed_at > CALM_SECONDS:
            self._pressed_at = None
            log.info("Redis has room for the log again", kept=self.size.events)

    async def _unwrap(self, reply: Any) -> list[Any]:
        """Check a script's reply; raise PublishFailed or Fenced."""
        if isinstance(reply, Exception):
            await self._pipeline.aclose()  # the primary may have changed
            raise PublishFailed(str(reply)) from reply
        if reply[0] == b"FENCED":
            raise Fenced(int(reply[1]))
        answer: list[Any] = reply
        return answer

    async def _replies(self) -> list[Any]:
        try:
            return await self._pipeline.replies()
        except (RedisError, OSError) as error:
            raise PublishFailed(error_text(error)) from error
