"""The log in Redis: written as the watcher writes it, and read as it stands there, past our own code."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from redis.asyncio import Redis

from services.common.cursor import Position
from services.common.normalize import Change
from services.redis.schema import StreamKeys
from services.watcher.publisher import Published, Publisher

KEYS = StreamKeys.of("orders")

_opened: list[Publisher] = []


class Entry(NamedTuple):
    """One entry: its ID, the envelope, the fields for filters, and the position before it."""

    id: str
    envelope: bytes
    images: bytes
    previous: str


def new_publisher(redis: Redis, term: int = 1, maxlen: int = 1000) -> Publisher:
    """Return a publisher that is closed when the test ends."""
    _opened.append(Publisher(redis, KEYS, term, maxlen))
    return _opened[-1]


async def close_publishers() -> None:
    """Close all that a test has opened."""
    while _opened:
        await _opened.pop().aclose()


async def publish(publisher: Publisher, epoch: str, prev: Position, changes: Sequence[Change]) -> Published:
    """Append the changes that follow ``prev``."""
    publisher.send(epoch, prev, changes)
    return await publisher.answer()


async def entries(redis: Redis) -> list[Entry]:
    """Return the whole log."""
    raw: Any = await redis.xrange(KEYS.log)
    return [Entry(key.decode(), fields[b"e"], fields[b"b"], fields[b"p"].decode()) for key, fields in raw]


async def ids(redis: Redis) -> list[str]:
    """Return the IDs of the whole log."""
    return [entry.id for entry in await entries(redis)]


async def head(redis: Redis) -> dict[str, str]:
    """Return the head."""
    raw: Any = await redis.hgetall(KEYS.head)
    return {name.decode(): value.decode() for name, value in raw.items()}
