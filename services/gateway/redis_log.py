"""Reads the log in Redis: its head, its entries, and the channel on which new ones are published."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, NamedTuple, NoReturn

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from services.common.cursor import InvalidCursor, Position
from services.common.error_text import error_text
from services.common.normalize import EpochReason
from services.common.visible_fields import ALL_FIELDS, VisibleFields
from services.gateway.event import Event
from services.redis.channel import listen, listening_options
from services.redis.client import redis_client
from services.redis.schema import EntryField, HeadField, StreamKeys

# Entries per request. Redis cannot limit by bytes: with the largest envelopes a page is 16 MiB, and several readers
# read at once; with usual ones a larger page saves little, because decoding takes longer than the round trip.
PAGE = 64

_HEAD_FIELDS = (HeadField.EPOCH, HeadField.POSITION, HeadField.FLOOR, HeadField.REASON, HeadField.ALIVE)
_ENVELOPE, _IMAGES, _PREV = (field.encode() for field in (EntryField.ENVELOPE, EntryField.IMAGES, EntryField.PREV))


class LogUnavailable(Exception):
    """Redis cannot be read now; a retry may help."""


class LogHead(NamedTuple):
    """The head of the log: the log is complete after ``floor`` up to ``position``.

    ``silence``: seconds, by Redis's clock, since the watcher last reported that it follows the change stream.
    """

    epoch: str
    position: Position
    floor: Position
    reason: EpochReason | None
    silence: float


class LogPage(NamedTuple):
    """Consecutive entries, the position that the first of them follows, and the head at the same moment.

    ``prev`` is None where there are no entries, ``head`` where there is no log.
    """

    head: LogHead | None
    events: list[Event]
    prev: Position | None

    @property
    def begins_after(self) -> Position:
        """The position from which on the log is complete; zero where there is no log."""
        return self.prev or (Position(0, 0) if self.head is None else self.head.floor)

    def lacks(self, position: Position) -> bool:
        """Tell whether an entry that followed ``position`` is no longer in the log."""
        return self.begins_after > position


class Batch(NamedTuple):
    """One message on the channel: consecutive events, the first of which follows ``prev``."""

    epoch: str
    prev: Position
    events: list[Event]


class _Message(msgspec.Struct):
    """The same as JSON; envelopes stay undecoded, since they go out unchanged."""

    epoch: str
    prev: str
    events: list[msgspec.Raw]
    images: list[msgspec.Raw]


_MESSAGE = msgspec.json.Decoder(_Message)


class RedisLog:
    """The read side of one stream's log.

    Every method raises LogUnavailable; those that read the head also where the log shows other fields.
    """

    def __init__(self, redis: Redis, channel: Redis, keys: StreamKeys, visible: VisibleFields) -> None:
        self._redis = redis
        self._channel = channel
        self._keys = keys
        self._visible = visible

    async def head(self) -> LogHead | None:
        """Return the head, or None where there is no log."""
        with _translated():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.hmget(self._keys.head, _HEAD_FIELDS)
                pipe.time()
                fields, now = await pipe.execute()
        return self._head(fields, now)

    async def after(self, position: Position) -> LogPage:
        """Return a page of the entries that follow ``position``, empty where there are none."""
        return await self._page("xrange", f"({position}", "+", PAGE)

    async def upto(self, position: Position) -> LogPage:
        """Return a page of the last entries up to ``position``, that one included, oldest first."""
        return await self._page("xrevrange", str(position), "-", PAGE)

    async def newest(self, most: int, most_bytes: int) -> LogPage:
        """Return the last entries, oldest first, with the head as it was when the newest was read."""
        page = await self._page("xrevrange", "+", "-", min(most, PAGE))
        head, pages, prev, missing, size = page.head, [page.events], page.prev, most, 0
        while page.events and prev is not None and head is not None:
            missing -= len(page.events)
            size += sum(event.size for event in page.events)
            if missing <= 0 or size > most_bytes:
                break
            page = await self._page("xrevrange", f"({page.events[0].position}", "-", min(missing, PAGE))
            if page.head is None or page.head.epoch != head.epoch:
                raise LogUnavailable("the log changed while it was read")
            if not page.events or page.events[-1].position != prev:
                break  # earlier entries have been trimmed meanwhile, or there is a gap
            pages.append(page.events)
            prev = page.prev
        return LogPage(head, [event for events in reversed(pages) for event in events], prev)

    async def _page(self, command: str, start: str, end: str, most: int) -> LogPage:
        # One transaction: the head tells whether anything is missing before the first entry of this very reply.
        with _translated():
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hmget(self._keys.head, _HEAD_FIELDS)
                pipe.time()
                getattr(pipe, command)(self._keys.log, start, end, count=most)
                fields, now, entries = await pipe.execute()
        if command == "xrevrange":
            entries.reverse()
        events, prev = _consecutive(entries, newest=command == "xrevrange")
        return LogPage(self._head(fields, now), events, prev)

    def _head(self, fields: list[bytes | None], now: tuple[int, int]) -> LogHead | None:
        """Return the head, or None where there is no log.

        The one check of what the log shows: the events of an epoch that no head was returned for go to nobody.
        """
        head = _head(fields, now)
        if head is not None and not self._visible.made(head.epoch):
            raise LogUnavailable(
                "the watcher shows other fields than this gateway: VISIBLE_FIELDS must be the same for both"
            )
        return head

    async def follow(self, subscribed: Callable[[], None], take: Callable[[Batch], None]) -> NoReturn:
        """Call ``take`` with each batch as soon as it arrives, and ``subscribed`` before the first.

        Batches published before ``subscribed`` may have been missed. An exception from ``take`` ends it.
        """
        try:
            await listen(self._channel, self._keys.channel, subscribed, lambda message: take(_batch(message)))
        except RedisError as error:
            raise LogUnavailable(error_text(error)) from error


@asynccontextmanager
async def open_redis_log(url: str, keys: StreamKeys, visible: VisibleFields = ALL_FIELDS) -> AsyncIterator[RedisLog]:
    """Prepare the connections to Redis; nothing is sent yet. Only a log that shows the ``visible`` fields is read."""
    # No retries by the driver: they would hide that messages were missed in between.
    options: dict[str, Any] = {"socket_connect_timeout": 2, "retry": Retry(NoBackoff(), 0)}
    async with (
        aclosing(redis_client(url, keys.log, socket_timeout=5, **options)) as redis,
        aclosing(redis_client(url, keys.log, **listening_options(url), **options)) as channel,
    ):
        yield RedisLog(redis, channel, keys, visible)


class _translated:  # noqa: N801 - used as a keyword
    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, (RedisError, OSError, msgspec.DecodeError, InvalidCursor, KeyError)):
            raise LogUnavailable(error_text(error)) from error


def _batch(data: bytes) -> Batch:
    try:
        message = _MESSAGE.decode(data)
        pairs = zip(message.events, message.images, strict=True)
        events = [Event(bytes(envelope), bytes(images)) for envelope, images in pairs]
        return Batch(message.epoch, Position.parse(message.prev), events)
    except (msgspec.DecodeError, InvalidCursor) as error:
        raise LogUnavailable(error_text(error)) from error


def _consecutive(
    entries: list[tuple[bytes, dict[bytes, bytes]]], *, newest: bool
) -> tuple[list[Event], Position | None]:
    """Return the entries before the first gap; for the ``newest``, those after the last gap."""
    runs: list[list[Event]] = []
    prevs: list[Position] = []
    expected = b""
    for name, entry in entries:
        if entry[_PREV] != expected:
            runs.append([])
            prevs.append(Position.parse(entry[_PREV].decode()))
        runs[-1].append(Event(entry[_ENVELOPE], entry[_IMAGES]))
        expected = name
    if not runs:
        return [], None
    which = -1 if newest else 0
    return runs[which], prevs[which]


def _head(fields: list[bytes | None], now: tuple[int, int]) -> LogHead | None:
    epoch, position, floor, reason, alive = (None if field is None else field.decode() for field in fields)
    if epoch is None or position is None or floor is None:
        return None
    silence = now[0] + now[1] / 1e6 - float(alive or 0)
    return LogHead(epoch, Position.parse(position), Position.parse(floor), _reason(reason), silence)


def _reason(text: str | None) -> EpochReason | None:
    """Return the reason why the epoch began, or None: a later release may know others."""
    return EpochReason(text) if text in set(EpochReason) else None
