"""The script detects a log that another program has modified, and appends nothing to it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis

from services.common.cursor import Position
from services.common.normalize import Change, EpochReason
from services.watcher.publisher import Fenced, Published, Publisher, PublishFailed
from tests.conftest import OwnValkey
from tests.log_entries import KEYS, entries, ids, new_publisher, publish
from tests.stream_events import change

START = Position(10, 0)


@asynccontextmanager
async def watching(redis: Redis) -> AsyncIterator[Publisher]:
    """Give a publisher whose log ends at 11-0, that it has published."""
    publisher = new_publisher(redis)
    await publisher.restart_log("e1", EpochReason.FIRST_START, START, "token-0")
    await publish(publisher, "e1", START, [change(11)])
    try:
        yield publisher
    finally:
        await publisher.aclose()


async def claims(redis: Redis) -> None:
    await new_publisher(redis, term=2).claim()


async def claims_and_goes_on(redis: Redis) -> None:
    other = new_publisher(redis, term=2)
    await other.claim()
    await publish(other, "e1", Position(11, 0), [change(12)])


async def loses_the_log(redis: Redis) -> None:
    await redis.delete(KEYS.log)


async def loses_the_head(redis: Redis) -> None:
    await redis.delete(KEYS.head)


async def loses_the_tail(redis: Redis) -> None:
    await redis.xdel(KEYS.log, "11-0")


async def forgets_everything(redis: Redis) -> None:
    await redis.flushall()


async def begins_another_epoch(redis: Redis) -> None:
    await redis.hset(KEYS.head, "epoch", "e2")


async def puts_something_else_there(redis: Redis) -> None:
    await redis.set(KEYS.log, "something else")


TOUCHES = [
    (claims, Fenced),
    (claims_and_goes_on, Fenced),
    (loses_the_log, Published.GAP),
    (loses_the_head, Published.GAP),
    (loses_the_tail, Published.GAP),
    (forgets_everything, Published.GAP),
    (begins_another_epoch, Published.GAP),
    (puts_something_else_there, PublishFailed),
]
Touch = Callable[[Redis], Awaitable[None]]
Outcome = type[Fenced | PublishFailed] | Published


async def outcome(publisher: Publisher, prev: Position, changes: list[Change]) -> Outcome:
    try:
        return await publish(publisher, "e1", prev, changes)
    except (Fenced, PublishFailed) as error:
        return type(error)


@pytest.mark.parametrize(("touch", "expected"), TOUCHES)
async def test_a_log_modified_by_another_program_is_left_as_it_is(
    own_valkey: OwnValkey, touch: Touch, expected: Outcome
) -> None:
    server = await own_valkey()
    async with Redis.from_url(server.uri()) as redis, watching(redis) as publisher:
        await touch(redis)
        there = await redis.dump(KEYS.log)
        assert await outcome(publisher, Position(11, 0), [change(12)]) is expected
        assert await redis.dump(KEYS.log) == there


async def test_a_full_redis_takes_nothing_and_says_so(own_valkey: OwnValkey) -> None:
    server = await own_valkey()
    async with Redis.from_url(server.uri()) as redis, watching(redis) as publisher:
        before = await redis.dump(KEYS.head), await redis.dump(KEYS.log)
        await redis.config_set("maxmemory", "1")
        with pytest.raises(PublishFailed, match="maxmemory"):
            await publish(publisher, "e1", Position(11, 0), [change(12)])
        assert (await redis.dump(KEYS.head), await redis.dump(KEYS.log)) == before
        await redis.config_set("maxmemory", "0")
        assert await publish(publisher, "e1", Position(11, 0), [change(12)]) is Published.OK
        assert await ids(redis) == ["11-0", "12-0"]


async def test_without_the_right_to_ping_changes_are_published_all_the_same(own_valkey: OwnValkey) -> None:
    server = await own_valkey()
    async with Redis.from_url(server.uri()) as redis:
        async with without(redis, server.uri(), "ping") as limited, watching(limited) as publisher:
            for number in (12, 13):
                prev = Position(number - 1, 0)
                assert await publish(publisher, "e1", prev, [change(number)]) is Published.OK
        assert [entry.previous for entry in await entries(redis)] == ["10-0", "11-0", "12-0"]


@asynccontextmanager
async def without(redis: Redis, address: str, refused: str) -> AsyncIterator[Redis]:
    """Connect as a user with all rights but that one."""
    acl: Any = redis
    await acl.execute_command("ACL", "SETUSER", "writer", "on", "nopass", "~*", "&*", "+@all", f"-{refused}")
    async with Redis.from_url(address.replace("redis://", "redis://writer:any@")) as limited:
        yield limited
