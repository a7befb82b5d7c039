"""Changes that a transaction appends: as the script would, and only to a log that nobody has touched."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest
from redis.asyncio import Redis

from services.common.cursor import Position
from services.common.normalize import Change, EpochReason
from services.watcher.publisher import Fenced, LogUnavailable, Published, Publisher
from tests.conftest import OwnValkey
from tests.log_entries import KEYS, entries, head, ids, publish
from tests.stream_events import change
from tests.waiting import until

START = Position(10, 0)


@pytest.fixture(autouse=True)
def _time_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let only a new publisher's first batch be one that trims, and renews the sign of life."""
    monkeypatch.setattr("services.watcher.publisher.monotonic", lambda: 0.0)


@asynccontextmanager
async def watching(redis: Redis) -> AsyncIterator[Publisher]:
    """Give a publisher whose log ends at 11-0, as it has seen itself."""
    publisher = Publisher(redis, KEYS, 1, 1000)
    await publisher.begin("e1", EpochReason.FIRST_START, START, "token-0")
    await publish(publisher, "e1", START, [change(11)])
    try:
        yield publisher
    finally:
        await publisher.aclose()


async def calls(redis: Redis, command: str) -> int:
    """Return how often it was asked for."""
    return int((await redis.info("commandstats")).get(f"cmdstat_{command}", {}).get("calls", 0))


async def test_a_transaction_leaves_what_the_script_leaves(
    own_valkey: OwnValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = [change(12, before={"status": "pending"}), change(13), change(14)]
    found = []
    for scripts in (0, 2):
        server = await own_valkey()
        async with Redis.from_url(server.uri()) as redis, watching(redis) as publisher, redis.pubsub() as channel:
            await channel.subscribe(KEYS.channel)
            if scripts:  # which trim, and renew the sign of life
                monkeypatch.setattr("services.watcher.publisher.monotonic", count(10.0, 10.0).__next__)
            before = await calls(redis, "evalsha")
            assert await publish(publisher, "e1", Position(11, 0), changes[:2]) is Published.OK
            assert await publish(publisher, "e1", Position(13, 0), changes[2:]) is Published.OK
            assert await calls(redis, "evalsha") - before == scripts
            told = [message["data"] async for message in messages(channel, 2)]
            fields = await head(redis)
            del fields["alive"]
            found.append((await entries(redis), fields, told))
    assert found[0] == found[1]
    assert found[0][1]["position"] == "14-0"


async def messages(channel: Any, most: int) -> AsyncIterator[dict[str, Any]]:
    async with asyncio.timeout(10):
        async for message in channel.listen():
            if message["type"] == "message":
                yield message
                most -= 1
                if most == 0:
                    return


async def claims(redis: Redis) -> None:
    await Publisher(redis, KEYS, 2, 1000).claim()


async def claims_and_goes_on(redis: Redis) -> None:
    other = Publisher(redis, KEYS, 2, 1000)
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
]
Touch = Callable[[Redis], Awaitable[None]]
Outcome = type[Fenced | LogUnavailable] | Published


async def outcome(publisher: Publisher, prev: Position, changes: list[Change]) -> Outcome:
    try:
        return await publish(publisher, "e1", prev, changes)
    except (Fenced, LogUnavailable) as error:
        return type(error)


@pytest.mark.parametrize(("touch", "expected"), TOUCHES)
async def test_a_log_that_somebody_has_touched_is_judged_by_the_script(
    own_valkey: OwnValkey, touch: Touch, expected: Outcome
) -> None:
    server = await own_valkey()
    async with Redis.from_url(server.uri()) as redis, watching(redis) as publisher:
        await touch(redis)
        there, tried = await ids(redis), await calls(redis, "exec")
        assert await outcome(publisher, Position(11, 0), [change(12)]) is expected
        assert await ids(redis) == there
        # The transaction, and twice the empty one by which the next is prepared: after it, and after the script.
        assert await calls(redis, "exec") - tried == 3


@pytest.mark.parametrize(
    ("touch", "expected"),
    [(claims, Fenced), (begins_another_epoch, Published.GAP), (puts_something_else_there, LogUnavailable)],
)
async def test_what_is_done_before_the_log_is_watched_again_is_seen_too(
    own_valkey: OwnValkey, touch: Touch, expected: Outcome
) -> None:
    server = await own_valkey()
    async with Redis.from_url(server.uri()) as redis:
        async with watching(redis):
            pass  # the scripts are known now

        async def meanwhile() -> None:
            await touch(redis)

        async with held_up(server.port, b"WATCH", meanwhile) as port, Redis(port=port) as slow:
            publisher = Publisher(slow, KEYS, 1, 1000)
            await publisher.begin("e1", EpochReason.FIRST_START, START, "token-0")
            assert await publish(publisher, "e1", START, [change(11)]) is Published.OK
            there = await redis.dump(KEYS.log)
            assert await outcome(publisher, Position(11, 0), [change(12)]) is expected
            assert await redis.dump(KEYS.log) == there
            await publisher.aclose()


@asynccontextmanager
async def held_up(port: int, before: bytes, meanwhile: Callable[[], Awaitable[None]]) -> AsyncIterator[int]:
    """Pass on to a local server what comes to the port given; do something before it hears a word the first time."""
    todo = [meanwhile]
    answered = asyncio.Event()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if todo and before in data:
                at = data.rindex(b"*", 0, data.index(before))  # where the command begins
                answered.clear()
                writer.write(data[:at])
                await answered.wait()
                await todo.pop()()
                data = data[at:]
            writer.write(data)
        writer.close()

    async def pass_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            answered.set()
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pass_on(reader, to_server), pass_back(from_server, writer))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_what_was_watched_over_a_connection_that_is_gone_is_watched_no_longer(own_valkey: OwnValkey) -> None:
    server = await own_valkey()
    async with Redis.from_url(server.uri()) as redis, watching(redis) as publisher:
        await redis.client_kill_filter(_type="normal", skipme=True)
        lost = publisher._pipeline  # nothing else shows that the news has come
        await until(lambda: not lost.is_open, "the connection is known to be gone")
        await claims(redis)
        assert await outcome(publisher, Position(11, 0), [change(12)]) is Fenced
        assert await ids(redis) == ["11-0"]


async def test_a_full_redis_takes_nothing_and_says_so(own_valkey: OwnValkey) -> None:
    server = await own_valkey()
    async with Redis.from_url(server.uri()) as redis, watching(redis) as publisher:
        before = await redis.dump(KEYS.head), await redis.dump(KEYS.log)
        await redis.config_set("maxmemory", "1")
        with pytest.raises(LogUnavailable, match="maxmemory"):
            await publish(publisher, "e1", Position(11, 0), [change(12)])
        assert (await redis.dump(KEYS.head), await redis.dump(KEYS.log)) == before
        await redis.config_set("maxmemory", "0")
        assert await publish(publisher, "e1", Position(11, 0), [change(12)]) is Published.OK
        assert await ids(redis) == ["11-0", "12-0"]


@pytest.mark.parametrize("refused", ["ping", "watch", "multi", "exec", "@transaction"])
async def test_without_the_right_to_a_command_that_the_script_needs_not_it_does_the_work(
    own_valkey: OwnValkey, refused: str
) -> None:
    server = await own_valkey()
    async with Redis.from_url(server.uri()) as redis:
        async with without(redis, server.uri(), refused) as limited, watching(limited) as publisher:
            for number in (12, 13):
                prev = Position(number - 1, 0)
                assert await publish(publisher, "e1", prev, [change(number)]) is Published.OK
        assert [entry.previous for entry in await entries(redis)] == ["10-0", "11-0", "12-0"]
        # Of these calls, two found that the script was new; a failed one is counted apart.
        assert await calls(redis, "evalsha") == (2 if refused == "ping" else 4)


async def test_without_the_right_to_multi_nothing_is_written_to_a_log_that_another_has_claimed(
    own_valkey: OwnValkey,
) -> None:
    server = await own_valkey()
    async with (
        Redis.from_url(server.uri()) as redis,
        without(redis, server.uri(), "multi") as limited,
        watching(limited) as publisher,
    ):
        await claims(redis)
        assert await outcome(publisher, Position(11, 0), [change(12)]) is Fenced
        assert await ids(redis) == ["11-0"]


@asynccontextmanager
async def without(redis: Redis, address: str, refused: str) -> AsyncIterator[Redis]:
    """Connect as one who may do all but that."""
    acl: Any = redis
    await acl.execute_command("ACL", "SETUSER", "writer", "on", "nopass", "~*", "&*", "+@all", f"-{refused}")
    async with Redis.from_url(address.replace("redis://", "redis://writer:any@")) as limited:
        yield limited
