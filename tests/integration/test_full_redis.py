"""A full Redis: the log makes room for new changes, no more than it has to, and nothing is told twice or lost."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError
from structlog.testing import capture_logs

from services.common.cursor import Position
from services.common.normalize import Change, EpochReason
from services.common.tasks import Tasks
from services.redis.wire import RedisWire
from services.watcher.log_metrics import LogMetrics, RedisMemory, TrimReason
from services.watcher.log_upkeep import LogUpkeep
from services.watcher.publisher import LEAST_EVENTS, Fenced, Published, Publisher, PublishFailed
from services.watcher.redis_memory import watch_memory
from tests.conftest import OwnValkey
from tests.log_entries import KEYS, entries, head, ids, publish
from tests.stream_events import change
from tests.waiting import until

RUNBOOK = Path(__file__).parents[2] / "docs" / "operations.md"
START = Position(10, 0)
MB = 1 << 20


@asynccontextmanager
async def publishing(
    redis: Redis, term: int = 1, maxlen: int = 10**9, max_bytes: int = 10**12
) -> AsyncIterator[tuple[Publisher, list[TrimReason]]]:
    """Give a publisher, and the reasons for which it has trimmed."""
    reasons: list[TrimReason] = []
    async with aclosing(Publisher(redis, KEYS, term, maxlen, max_bytes, reasons.append)) as publisher:
        yield publisher, reasons


@asynccontextmanager
async def full_soon(own_valkey: OwnValkey, megabytes: float) -> AsyncIterator[Redis]:
    """Give a Redis that is full when it holds so much more."""
    server = await own_valkey()
    async with Redis.from_url(server.uri()) as redis:
        used = int((await redis.info("memory"))["used_memory"])
        await redis.config_set("maxmemory", str(used + int(megabytes * MB)))
        yield redis


def batch(first: int, count: int, size: int) -> list[Change]:
    return [change(number, data={"text": "x" * size}) for number in range(first, first + count)]


async def fill(publisher: Publisher, total: int, size: int, first: int = 11, last: Position = START) -> Position:
    """Publish so many bytes in changes of this size; each batch must be taken. Return the last position."""
    each = max(1, min(100, 500_000 // size))
    for start in range(first, first + total // size, each):
        changes = batch(start, each, size)
        assert await publish(publisher, "e1", last, changes) is Published.OK
        last = changes[-1].position
    return last


async def memory_of_log(redis: Redis) -> int:
    return await redis.memory_usage(KEYS.log, samples=0) or 0


async def is_whole(redis: Redis, last: Position) -> bool:
    """Tell whether the log is without a gap from its floor to ``last``."""
    found, known = await entries(redis), await head(redis)
    links = [known["floor"], *(entry.id for entry in found)]
    return [entry.previous for entry in found] == links[:-1] and links[-1] == known["position"] == str(last)


async def positions_told(channel: Any, last: Position) -> list[str]:
    told: list[str] = []
    async for message in channel.listen():
        if message["type"] == "message":
            told += [event["cursor"].partition(".")[2] for event in json.loads(message["data"])["events"]]
            if told[-1:] == [str(last)]:
                break
    return told


@pytest.mark.parametrize("size", [300, 5_000, 200_000])
async def test_fifty_megabytes_go_through_a_small_redis(own_valkey: OwnValkey, size: int) -> None:
    with capture_logs() as lines:
        async with full_soon(own_valkey, 16) as redis, publishing(redis) as (publisher, reasons):
            await publisher.restart_log("e1", EpochReason.FIRST_START, START, "")
            total = 50 * MB if size > 300 else 8 * MB
            if size == 300:
                used = int((await redis.info("memory"))["used_memory"])
                await redis.config_set("maxmemory", str(used + 4 * MB))
            last = await fill(publisher, total, size)
            assert await is_whole(redis, last)
            kept = len(await ids(redis))
            assert kept == publisher.size.events
            assert kept >= min(LEAST_EVENTS, 4 * MB // size), "what is left is still useful"
            assert int((await redis.info("memory"))["used_memory"]) < 18 * MB
            assert set(reasons) == {TrimReason.MEMORY}
    assert [line["event"] for line in lines] == ["Redis is full (OOM), trimming the log to make room"]
    assert f"`{lines[0]['event']}`" in RUNBOOK.read_text("utf-8")


async def test_each_change_is_told_once_while_the_log_is_trimmed(own_valkey: OwnValkey) -> None:
    async with full_soon(own_valkey, 4) as redis, publishing(redis) as (publisher, reasons):
        await publisher.restart_log("e1", EpochReason.FIRST_START, START, "")
        async with redis.pubsub() as channel:
            await channel.subscribe(KEYS.channel)
            told: list[str] = []
            last, first = START, 11
            while len(reasons) < 5:
                changes = batch(first, 10, 20_000)
                assert await publish(publisher, "e1", last, changes) is Published.OK
                first, last = first + 10, changes[-1].position
                told += await positions_told(channel, last)
    assert told == [f"{number}-0" for number in range(11, first)]


async def test_others_may_fill_redis_and_leave_again(own_valkey: OwnValkey) -> None:
    with capture_logs() as lines:
        async with full_soon(own_valkey, 8) as redis, publishing(redis) as (publisher, reasons):
            await publisher.restart_log("e1", EpochReason.FIRST_START, START, "")
            last = await fill(publisher, 400_000, 1_000)
            with suppress(OutOfMemoryError):
                for number in range(1_000):
                    await redis.set(f"other {number}", "x" * 100_000)
            await redis.config_set("maxmemory", str(int((await redis.info("memory"))["used_memory"]) - 2 * MB))
            assert "`OOM`: Redis is full" in RUNBOOK.read_text("utf-8")
            for attempt in (batch(1_000, 1, 1_000), []):  # a sign of life is refused as well
                with pytest.raises(PublishFailed, match=r"^OOM: Redis is full, and not of our log.*last 100 changes"):
                    await publish(publisher, "e1", last, attempt)
            assert await is_whole(redis, last)
            assert len(await ids(redis)) == LEAST_EVENTS
            trims = len(reasons)
            await redis.delete(*[f"other {number}" for number in range(1_000)])
            changes = batch(1_000, 1, 1_000)
            assert await publish(publisher, "e1", last, changes) is Published.OK
            assert await is_whole(redis, changes[-1].position)
            assert len(reasons) == trims
    assert len(lines) == 1


async def test_a_few_large_changes_make_room_too(own_valkey: OwnValkey) -> None:
    async with full_soon(own_valkey, 16) as redis, publishing(redis) as (publisher, _):
        await publisher.restart_log("e1", EpochReason.FIRST_START, START, "")
        last = await fill(publisher, 40 * MB, 2 * MB)
        assert await is_whole(redis, last)
        assert 1 <= len(await ids(redis)) < 8


@pytest.mark.parametrize("starts", ["claims", "begins"])
async def test_a_watcher_starts_on_a_redis_that_its_log_has_filled(own_valkey: OwnValkey, starts: str) -> None:
    async with full_soon(own_valkey, 8) as redis, publishing(redis) as (publisher, _):
        await publisher.restart_log("e1", EpochReason.FIRST_START, START, "")
        last = await fill(publisher, 6 * MB, 5_000)
        await redis.config_set("maxmemory", str(int((await redis.info("memory"))["used_memory"]) - 3 * MB))
        async with publishing(redis, term=2, maxlen=200) as (newer, reasons):
            if starts == "begins":
                await newer.restart_log("e2", EpochReason.STATE_LOST, START, "")
                assert await publish(newer, "e2", START, batch(11, 1, 10)) is Published.OK
            else:
                found = await newer.claim()
                assert found is not None
                assert found.position == last
                changes = batch(last.ts + 1, 150, 10)
                assert await publish(newer, "e1", last, changes) is Published.OK
                assert await is_whole(redis, changes[-1].position)
            assert TrimReason.MEMORY in reasons


async def test_an_older_term_does_not_trim(own_valkey: OwnValkey) -> None:
    async with full_soon(own_valkey, 8) as redis, publishing(redis) as (old, reasons):
        await old.restart_log("e1", EpochReason.FIRST_START, START, "")
        last = await fill(old, 4 * MB, 5_000)
        async with publishing(redis, term=2) as (newer, _):
            await newer.claim()
        before = await ids(redis)
        await redis.config_set("maxmemory", "1")
        with pytest.raises(Fenced):
            await publish(old, "e1", last, batch(last.ts + 1, 1, 10))
        upkeep = LogUpkeep(redis, KEYS, 1, 1, old.size, LogMetrics(CollectorRegistry()))
        await upkeep.once(last.ts + (1 << 40))
        assert (await ids(redis), reasons) == (before, [])


@pytest.mark.parametrize("sizes", [[1_000], [50_000], [300, 50_000], [50_000, 300]])
async def test_the_log_is_bounded_in_bytes(redis: Redis, sizes: Sequence[int]) -> None:
    bound = 3 * MB
    async with publishing(redis, max_bytes=bound) as (publisher, reasons):
        await publisher.restart_log("e1", EpochReason.FIRST_START, START, "")
        last, first = START, 11
        for size in sizes:
            last = await fill(publisher, 2 * bound, size, first, last)
            first = last.ts + 1
            assert await memory_of_log(redis) < bound + 2 * MB  # and the last batches
        assert await is_whole(redis, last)
        assert set(reasons) == {TrimReason.BYTES}
        assert publisher.size.events == len(await ids(redis))
        assert await memory_of_log(redis) > bound / 2, "it is not trimmed more than it has to be"


async def test_a_new_leader_knows_how_many_bytes_are_there(redis: Redis) -> None:
    async with publishing(redis) as (publisher, _):
        await publisher.restart_log("e1", EpochReason.FIRST_START, START, "")
        last = await fill(publisher, 4 * MB, 5_000)
    async with publishing(redis, term=2, max_bytes=1 * MB) as (newer, reasons):
        await newer.claim()
        assert newer.size.bytes == pytest.approx(await memory_of_log(redis), rel=0.1)
        assert await publish(newer, "e1", last, batch(last.ts + 1, 1, 10)) is Published.OK
        assert await memory_of_log(redis) < 1.2 * MB
        assert reasons == [TrimReason.BYTES]


async def test_changes_that_are_too_old_are_dropped_while_nothing_happens(redis: Redis) -> None:
    registry = CollectorRegistry()
    metrics = LogMetrics(registry)
    second = 1 << 32
    async with publishing(redis) as (publisher, _):
        await publisher.restart_log("e1", EpochReason.FIRST_START, Position(100 * second, 0), "")
        changes = [change(Position((100 + number) * second, 1), data={"number": number}) for number in range(50)]
        assert await publish(publisher, "e1", Position(100 * second, 0), changes) is Published.OK
        upkeep = LogUpkeep(redis, KEYS, 1, 20, publisher.size, metrics)
        for now, left, reach in ((None, 50, 49), (120, 50, 49), (150, 20, 20), (150, 20, 20), (500, 0, 0)):
            await upkeep.once(None if now is None else now * second)
            assert len(await ids(redis)) == left == publisher.size.events
            assert await is_whole(redis, changes[-1].position)
            text = generate_latest(registry).decode()
            assert f"orders_watcher_log_events {left}.0" in text
            assert f"orders_watcher_log_seconds {reach}.0" in text
        after = change(Position(600 * second, 0), data={})
        assert await publish(publisher, "e1", changes[-1].position, [after]) is Published.OK
        assert await is_whole(redis, after.position)
    assert 'orders_watcher_log_trims_total{reason="seconds"} 2.0' in generate_latest(registry).decode()


def test_figures_that_are_not_known_are_absent_and_every_reason_is_there_from_the_start() -> None:
    registry = CollectorRegistry()
    metrics = LogMetrics(registry)
    text = generate_latest(registry).decode()
    for reason in ("events", "bytes", "seconds", "memory"):
        assert f'orders_watcher_log_trims_total{{reason="{reason}"}} 0.0' in text
    assert "\norders_watcher_redis_memory_bytes " not in text
    assert "\norders_watcher_log_bytes " not in text
    metrics.memory = RedisMemory(7, 0)
    text = generate_latest(registry).decode()
    assert "\norders_watcher_redis_memory_bytes 7.0" in text
    assert "\norders_watcher_redis_memory_limit_bytes 0.0" in text


async def test_the_memory_of_redis_is_shown_where_the_user_may_ask_and_nothing_is_logged_where_not(
    own_valkey: OwnValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.watcher.redis_memory.EVERY_SECONDS", 0.05)
    server = await own_valkey("--maxmemory", "64mb")
    metrics = LogMetrics(CollectorRegistry())
    with capture_logs() as lines:
        async with Redis.from_url(server.uri()) as admin, Redis.from_url(server.uri()) as redis, Tasks() as tasks:
            tasks.keep("watching", watch_memory(redis, metrics))
            await until(lambda: metrics.memory is not None, "it is shown")
            assert metrics.memory is not None
            assert (metrics.memory.used > 0, metrics.memory.limit) == (True, 64 * MB)
            await admin.execute_command("ACL", "SETUSER", "default", "-info")  # type: ignore[no-untyped-call]
            await until(lambda: metrics.memory is None, "it is not shown any more")
            await admin.execute_command("ACL", "SETUSER", "default", "+info")  # type: ignore[no-untyped-call]
            await until(lambda: metrics.memory is not None, "it is shown again")
            await server.kill()
            await until(lambda: metrics.memory is None, "it is not shown any more")
    assert not lines


@pytest.mark.parametrize(
    "text",
    [
        "OOM command not allowed when used memory > 'maxmemory'.",
        "OOM command not allowed when used memory > 'maxmemory'. script: 1f, on @user_script:1.",  # Redis 7
        "ERR Error running script (call to f_1f): @user_script:1: -OOM command not allowed when used memory",  # 6.2
    ],
)
async def test_every_version_of_redis_is_understood_when_it_is_full(text: str) -> None:
    replies: list[Any] = []
    wire = RedisWire(replies.append, lambda _: None)
    wire.data_received(f"-{text}\r\n".encode())
    assert isinstance(replies[0], OutOfMemoryError)
