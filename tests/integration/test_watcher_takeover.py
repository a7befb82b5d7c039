"""Watchers that take over from each other, are frozen, or stand before a Redis that takes nothing."""

import os
import signal

from bson import ObjectId
from redis.asyncio import Redis

from tests.conftest import OwnValkey
from tests.integration.watched_orders import JOHN, Stack, Writer, operations
from tests.log_entries import KEYS, entries
from tests.waiting import until, within


async def test_a_second_watcher_stands_by_and_takes_over_when_the_first_is_killed(stack: Stack) -> None:
    first = await stack.watcher()
    second = await stack.watcher()
    await until(lambda: "standing by" in second.output, "the second one stands by")
    assert f"owner={(await stack.state())['owner']}" in second.output
    async with Writer(stack.orders) as writer:
        await writer.has_written(100)
        await first.kill()
        await until(lambda: "This watcher leads" in second.output, "the second one leads", 5)
        await writer.has_written(100)
    assert operations(await stack.log_of(len(writer.done))) == writer.done


async def test_a_watcher_restarted_after_a_kill_names_the_dead_one_whose_lease_it_waits_for(stack: Stack) -> None:
    watcher = await stack.watcher(LEASE_SECONDS="3")
    dead = (await stack.state())["owner"]
    await watcher.kill()
    await watcher.start()
    await until(lambda: watcher.output.count("This watcher leads") == 2, "it leads again", 8)
    [line] = [line for line in watcher.output.splitlines() if "standing by" in line]
    assert "lease has not expired" in line
    assert f"owner={dead}" in line


async def test_a_watcher_that_stops_hands_over_at_once(stack: Stack) -> None:
    first = await stack.watcher(LEASE_SECONDS="60")
    second = await stack.watcher(LEASE_SECONDS="60")
    await until(lambda: "standing by" in second.output, "the second one stands by")
    await first.stop()
    assert await first.wait() == 0
    await until(lambda: "This watcher leads" in second.output, "the second one leads", 5)
    await stack.orders.insert_one({**JOHN})
    await stack.log_of(1)


async def test_a_watcher_stops_at_once_at_whatever_moment_it_is_told(stack: Stack) -> None:
    """The drivers swallow a cancellation that comes at the same moment as an answer."""
    async with Writer(stack.orders) as writer:
        for _ in range(15):
            watcher = await stack.watcher()
            await writer.has_written(50)
            async with within(10):
                os.kill(watcher.pid, signal.SIGTERM)  # `stop` would kill it after 15
                assert await watcher.wait() == 0


async def test_a_watcher_that_was_frozen_past_its_lease_does_no_harm(stack: Stack) -> None:
    first = await stack.watcher()
    second = await stack.watcher()
    await until(lambda: "standing by" in second.output, "the second one stands by")
    async with Writer(stack.orders) as writer:
        await writer.has_written(50)
        first.pause()
        await until(lambda: "This watcher leads" in second.output, "the second one leads", 5)
        await writer.has_written(50)
        first.resume()
        await until(lambda: first.output.count("standing by") > 0, "the first one notices", 8)
        await writer.has_written(50)
    assert operations(await stack.log_of(len(writer.done))) == writer.done
    assert first.running


async def test_a_watcher_whose_queue_is_full_stops_when_it_is_told(stack: Stack, own_valkey: OwnValkey) -> None:
    valkey = await own_valkey()
    stack.redis_url = valkey.uri()
    watcher = await stack.watcher(wait_for_log=False, QUEUE_MAX_EVENTS="3", BATCH_MAX_EVENTS="1")
    await stack.orders.insert_one({**JOHN})
    async with Redis.from_url(valkey.uri()) as redis:

        async def carried() -> bool:
            return len(await entries(redis)) == 1

        await until(carried, "the first change is in the log")
    valkey.pause()
    async with Writer(stack.orders) as writer:
        await writer.has_written(100)
        # Nothing tells from outside that the queue is full; with a hundred changes and room for three it soon is.
        await until(lambda: "redis failed" in watcher.output, "Redis is missed")
    async with within(14):
        os.kill(watcher.pid, signal.SIGTERM)  # `stop` would kill it after 15
        assert await watcher.wait() == 0


async def test_a_log_that_is_lost_while_the_queue_is_full_is_rebuilt(stack: Stack) -> None:
    watcher = await stack.watcher(QUEUE_MAX_EVENTS="2", BATCH_MAX_EVENTS="1")
    ids = [ObjectId() for _ in range(3000)]  # all at once, and published one by one: the queue is full meanwhile
    await stack.orders.insert_many([{"_id": order, **JOHN} for order in ids])
    await stack.log_of(100)
    await stack.redis.delete(KEYS.log)
    await stack.log_ending_with([("INSERT", str(order)) for order in ids])
    assert "the log will be rebuilt" in watcher.output
