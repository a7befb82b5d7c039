"""Writes changes to the log in Redis, and is the only file of the watcher that knows what that looks like.

A script does it, whatever state the log is in. Where nobody has touched the log since this watcher left it, a few
changes are appended by a transaction instead, which takes Redis a third of the time, and which it refuses once somebody
has touched the log. Then, and whenever anything else is wrong, the script has its say.
"""

import asyncio
from collections.abc import Callable, Sequence
from enum import Enum
from math import inf
from time import monotonic
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from services.common.cursor import Position
from services.common.dependency_health import DependencyHealth
from services.common.normalize import Change, EpochReason
from services.redis.keys import StreamKeys
from services.redis.wire import packed
from services.watcher.pipeline import Pipeline
from services.watcher.script import Script
from services.watcher.start import Head

TIMEOUT_SECONDS = 5.0
LOOK_SECONDS = 1.0  # a lease that has come free waits for no longer than that
# To trim the log and to renew the sign of life is a quarter of the script's work: not with each lone change. Redis
# trims by the hundred anyway, and gateways doubt a watcher only after seconds.
KEEP_CHANGES = 100
KEEP_SECONDS = 0.5

CLAIM, BEGIN, PUBLISH = Script.load("claim"), Script.load("begin"), Script.load("publish")

# Goes ahead of each batch: Redis and Valkey write first to whom they had something to say last. As we are due a reply
# before it is published, they write to the subscribers before us, who are 0.05 ms sooner to know of each change.
_FIRST = packed("PING")
_MULTI, _EXEC = packed("MULTI"), packed("EXEC")


class LogUnavailable(Exception):
    """Redis cannot be written now: gone, full, read-only, or loading. Trying again later may help."""


class Fenced(Exception):
    """A watcher of a newer lease term, ``term``, has claimed the log: this one must stop."""

    def __init__(self, term: int) -> None:
        super().__init__(f"term {term} has claimed the log")
        self.term = term


async def ping(redis: Redis, health: DependencyHealth) -> None:
    """Find out whether Redis answers: for a watcher that stands by, which asks it nothing else."""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            await redis.ping()
    except (RedisError, OSError) as error:
        health.failed(error)
    else:
        health.succeeded()


class Published(Enum):
    """What the log says to a batch."""

    OK = "ok"
    GAP = "gap"  # the log ends before the batch begins: Redis lost data


class _Batch(NamedTuple):
    """What was sent last; ``maxlen`` is empty unless the log is to be trimmed."""

    epoch: str
    prev: Position
    changes: Sequence[Change]
    maxlen: str

    @property
    def last(self) -> Position:
        """Where the log ends once it has this."""
        return self.changes[-1].position if self.changes else self.prev

    @property
    def token(self) -> str:
        return self.changes[-1].token if self.changes else ""


class Publisher:
    """The write side of one stream's log, for one lease term."""

    def __init__(self, redis: Redis, keys: StreamKeys, term: int, maxlen: int) -> None:
        self._keys = keys
        self._term = str(term)
        self._maxlen = str(maxlen)
        self._kept_at = -inf
        self._since_kept = 0
        self._pipeline = Pipeline(redis, TIMEOUT_SECONDS)
        self._batch: _Batch | None = None
        self._is_transaction = False
        self._watched: tuple[str, Position] | None = None  # the log ends there, or a transaction will be refused
        self._watch = (
            _MULTI,
            _EXEC,  # an empty one, after which nothing is watched any more
            packed("WATCH", keys.head, keys.log),
            packed("HMGET", keys.head, "term", "epoch", "position"),
        )

    async def aclose(self) -> None:
        """Give the connection up."""
        await self._pipeline.aclose()

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
        batch = self._batch = _Batch(epoch, prev, changes, maxlen)
        # What was watched over another connection is watched no longer.
        self._is_transaction = (
            bool(changes) and not maxlen and self._watched == (epoch, prev) and self._pipeline.is_open
        )
        self._ask(self._transaction(batch) if self._is_transaction else self._script(batch, PUBLISH.known))

    def _keeping_is_due(self, changes: int) -> bool:
        self._since_kept += changes
        now = monotonic()
        if self._since_kept < KEEP_CHANGES and now - self._kept_at < KEEP_SECONDS:
            return False
        self._since_kept, self._kept_at = 0, now
        return True

    def _transaction(self, batch: _Batch) -> Sequence[bytes]:
        """Do what the script does to a log that ends at ``prev``."""
        commands = [_FIRST, _MULTI]
        previous = prev = str(batch.prev)
        for change in batch.changes:
            position = str(change.position)
            fields = ("e", change.envelope, "b", change.before, "p", previous)
            commands.append(packed("XADD", self._keys.log, position, *fields))
            previous = position
        head = ("term", self._term, "position", previous, "token", batch.token)
        events = b",".join([change.envelope for change in batch.changes])
        before = b",".join([change.before for change in batch.changes])
        message = b'{"epoch":"%b","prev":"%b","events":[%b],"before":[%b]}' % (
            batch.epoch.encode(),
            prev.encode(),
            events,
            before,
        )
        commands += packed("HSET", self._keys.head, *head), packed("PUBLISH", self._keys.channel, message), _EXEC
        return (*commands, *self._watch)

    def _script(self, batch: _Batch, command: "_Command") -> Sequence[bytes]:
        args: list[str | bytes] = [self._term, batch.epoch, str(batch.prev), batch.maxlen, batch.token]
        for change in batch.changes:
            args += str(change.position), change.envelope, change.before
        return _FIRST, command([self._keys.head, self._keys.log, self._keys.channel], args), *self._watch

    async def answer(self) -> Published:
        """Wait until the log has what was sent last; raise LogUnavailable or Fenced."""
        batch = self._batch
        if batch is None:
            raise RuntimeError("nothing was sent")
        replies = await self._replies()
        if self._is_transaction:
            if _is_done(replies[-1 - len(self._watch)]):
                self._note_watched(batch, replies)
                return Published.OK
            self._is_transaction = False
            self._ask(self._script(batch, PUBLISH.known))
            replies = await self._replies()
        if isinstance(replies[1], NoScriptError):  # it is new here, or Redis was restarted or emptied
            self._ask(self._script(batch, PUBLISH.new))
            replies = await self._replies()
        reply = await self._unwrap(replies[1])
        self._note_watched(batch, replies)
        return Published.OK if reply[0] == b"OK" else Published.GAP

    def _note_watched(self, batch: _Batch, replies: Sequence[Any]) -> None:
        """Note what is watched now: another may have come between a batch and that."""
        multi, _, watch, head = replies[-len(self._watch) :]
        is_watching = multi == watch == b"OK"  # without the right to MULTI, its commands are carried out one by one
        place = [text.encode() for text in (self._term, batch.epoch, str(batch.last))]
        self._watched = (batch.epoch, batch.last) if is_watching and head == place else None

    async def _run(self, script: Script, keys: list[str], args: Sequence[str | bytes]) -> list[Any]:
        self._ask([script.known(keys, args)])
        reply = (await self._replies())[0]
        if isinstance(reply, NoScriptError):
            self._ask([script.new(keys, args)])
            reply = (await self._replies())[0]
        return await self._unwrap(reply)

    async def _unwrap(self, reply: Any) -> list[Any]:
        """Return what a script answers; raise LogUnavailable or Fenced."""
        if isinstance(reply, Exception):
            await self._pipeline.aclose()  # the server to write to may be another one now
            raise LogUnavailable(str(reply)) from reply
        if reply[0] == b"FENCED":
            raise Fenced(int(reply[1]))
        answer: list[Any] = reply
        return answer

    def _ask(self, commands: Sequence[bytes]) -> None:
        self._watched = None
        self._pipeline.send(commands)

    async def _replies(self) -> list[Any]:
        try:
            return await self._pipeline.replies()
        except (RedisError, OSError) as error:
            raise LogUnavailable(str(error)) from error


_Command = Callable[[Sequence[str], Sequence[str | bytes]], bytes]


def _is_done(reply: Any) -> bool:
    """Tell whether a transaction was carried out: it is None where something watched has changed."""
    return isinstance(reply, list) and not any(isinstance(each, Exception) for each in reply)
