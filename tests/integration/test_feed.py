"""The gateway's path from Redis to its clients: messages lost on the channel are read from the log."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from services.common.cursor import Cursor, Position
from services.common.documents import Json
from services.common.normalize import EpochReason
from services.gateway.catch_up import OF_ONE_ACCOUNT, ServedFrom
from services.gateway.feed import EVENTS_PER_TURN, Stale
from services.gateway.filters import EVERYTHING
from services.gateway.redis_log import LogPage, RedisLog
from services.redis.schema import HeadField
from tests.conftest import OwnValkey
from tests.integration.fed_gateway import RING, Gateway, World, Writing
from tests.log_entries import KEYS
from tests.stream_events import Outlet, change
from tests.waiting import until


@pytest.fixture
async def world(own_valkey: OwnValkey, mongodb_uri: str) -> AsyncIterator[World]:
    server = await own_valkey("--stream-node-max-entries", "10")  # so that trimming is nearly exact
    async with AsyncMongoClient[dict[str, Json]](mongodb_uri) as client:
        # The oplog then says that the orders' history broke after the imaginary changes: it has none of them to give.
        orders = client.get_default_database()["orders"]
        await orders.insert_one({})
        await orders.drop()
    async with Redis.from_url(server.uri()) as redis:
        yield World(server, redis, mongodb_uri)


def at(number: int, epoch: str = "e1") -> Cursor:
    return Cursor(epoch, Position(number, 0))


class Followed(NamedTuple):
    """A stream, a gateway that is fed from it, and what a client of that one has got."""

    writing: Writing
    gateway: Gateway
    outlet: Outlet


@asynccontextmanager
async def followed(world: World, **options: Any) -> AsyncIterator[Followed]:
    writing = world.writing(**options)
    await writing.begin()
    async with world.gateway() as gateway:
        outlet = Outlet()
        await gateway.join(outlet)
        yield Followed(writing, gateway, outlet)


async def test_published_changes_arrive_at_once_and_in_batches(world: World) -> None:
    async with followed(world) as (writing, gateway, outlet):
        await writing.upto(100, at_once=20)
        await gateway.reached(100)
    assert outlet.positions == list(range(1, 101))


async def test_many_changes_published_at_once_are_fanned_out_by_turns(world: World) -> None:
    async with followed(world) as (writing, gateway, outlet):
        turns: list[int] = []
        gateway.hub.published = lambda events, _writes: turns.append(len(events))
        await writing.upto(350, at_once=350)
        await gateway.reached(350)
    assert outlet.positions == list(range(1, 351))
    assert sum(turns) == 350
    assert max(turns) <= EVENTS_PER_TURN


async def test_a_new_gateway_loads_the_newest_and_knows_its_limit(world: World) -> None:
    writing = world.writing()
    await writing.begin()
    await writing.upto(200)
    async with world.gateway() as gateway:
        assert gateway.ring.position == Position(200, 0)
        assert gateway.ring.floor == Position(150, 0)
        assert len(gateway.ring) == RING


async def test_a_new_gateway_on_a_short_log_holds_all_of_it(world: World) -> None:
    writing = world.writing()
    await writing.begin()
    await writing.upto(7)
    async with world.gateway() as gateway:
        assert (gateway.ring.floor, gateway.ring.position) == (Position(0, 0), Position(7, 0))


@pytest.mark.parametrize(
    "message",
    [
        "{",
        '{"epoch":"e1","prev":"x","events":[],"images":[]}',
        '{"epoch":"e1","prev":"0-0","events":[{"operation":"INSERT","id":"a","cursor":"e1.x","at":""}],"images":[null]}',
        '{"epoch":"e1","prev":"0-0","events":[{"operation":"INSERT","id":"a","cursor":"\\n.1-0","at":""}],"images":[null]}',
        '{"epoch":"e1","prev":"0-0","events":[{"operation":"?","id":"a","cursor":"e1.1-0","at":""}],"images":[null]}',
    ],
)
async def test_a_message_that_means_nothing_takes_nothing_along(world: World, message: str) -> None:
    async with followed(world) as (writing, gateway, outlet):
        await world.redis.publish(KEYS.channel, message)
        await writing.upto(3)
        await gateway.reached(3)
    assert outlet.positions == [1, 2, 3]


async def test_changes_published_while_the_subscription_is_cut_are_read_from_the_log(world: World) -> None:
    async with followed(world) as (writing, gateway, outlet):
        for number in range(100, 1100, 100):
            await world.redis.client_kill_filter(_type="pubsub")
            await writing.upto(number, at_once=30)
        await gateway.reached(1000)
    assert outlet.positions == list(range(1, 1001))


async def test_a_message_that_never_came_is_missed_within_a_second_or_two(world: World) -> None:
    """It may have been the last one for hours: nothing that follows would show the hole."""
    async with followed(world) as (_, gateway, outlet):
        await world.log_silently()
        await gateway.reached(1)
    assert outlet.positions == [1]


async def test_clients_learn_of_a_silent_watcher_as_soon_as_its_silence_is_too_long(world: World) -> None:
    """Its silence counts from its last report, not from when the gateway read that report."""
    await world.writing().begin()
    async with world.gateway(stale_seconds=60) as gateway:
        assert gateway.hub.stale is None
        seconds, _ = await world.redis.time()
        await world.redis.hset(KEYS.head, HeadField.ALIVE, str(seconds - 61))
        await until(lambda: gateway.hub.stale is Stale.WATCHER_SILENT, "clients are told that what they see is old")
        await world.redis.hset(KEYS.head, HeadField.ALIVE, str(seconds - 1))
        await until(lambda: gateway.hub.stale is None, "the watcher is back")


async def test_a_message_that_does_not_follow_shows_a_hole_that_is_filled_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.feed.CHECK_SECONDS", 3600)
    async with followed(world) as (writing, gateway, outlet):
        await world.log_silently()
        writing.last = 1
        await writing.upto(3)
        await gateway.reached(3)
    assert outlet.positions == [1, 2, 3]


async def test_a_look_at_the_log_that_failed_is_taken_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.feed.CHECK_SECONDS", 3600)
    writing = world.writing()
    await writing.begin()
    async with world.gateway() as gateway:
        await world.redis.rename(KEYS.head, "aside")
        await world.redis.set(KEYS.head, "of another type")
        await world.redis.publish(KEYS.channel, '{"epoch":"e1","prev":"9-0","events":[],"images":[]}')
        await asyncio.sleep(0.5)
        await world.log_silently("aside")
        await world.redis.rename("aside", KEYS.head)
        await gateway.reached(1)


async def test_a_change_published_twice_arrives_once(world: World) -> None:
    async with followed(world) as (writing, gateway, outlet):
        await writing.upto(10)
        await gateway.reached(10)
        await world.redis.delete(KEYS.log, KEYS.head)
        writing.last = 0
        await writing.begin()
        await writing.upto(15, at_once=4)
        await gateway.reached(15)
    assert outlet.positions == list(range(1, 16))
    assert outlet.resyncs == []


async def test_a_client_comes_back_to_the_ring_to_the_log_or_to_nothing(world: World) -> None:
    writing = world.writing(maxlen=500)
    await writing.begin()
    await writing.upto(2000)
    async with world.gateway() as gateway:
        ring, log, lost, ahead = Outlet(), Outlet(), Outlet(), Outlet()
        await gateway.join(ring, at(1980))
        await gateway.join(log, at(1600))
        await gateway.join(lost, at(100))
        await gateway.join(ahead, at(2005))
        await until(lambda: len(log.positions) == 400, "the log has been read")
        await until(lambda: lost.resyncs, "the oplog has been asked")
        await writing.upto(2010)
        await gateway.reached(2010)
        await until(lambda: len(log.positions) == 410, "the client is live")
    assert ring.positions == list(range(1981, 2011))
    assert log.positions == list(range(1601, 2011))
    assert (lost.positions, lost.resyncs) == (list(range(2001, 2011)), [("history_lost", "e1.2000-0")])
    assert ahead.positions == list(range(2006, 2011))
    assert (gateway.resumed[ServedFrom.RING], gateway.resumed[ServedFrom.LOG]) == (2, 1)
    # The reason comes from reading the oplog, or at once if an earlier check has found out how far it reaches.
    assert gateway.resumed[ServedFrom.OPLOG] + gateway.resumed[ServedFrom.RESYNC] == 1


async def test_a_gateway_that_missed_more_than_redis_keeps_tells_its_clients(world: World) -> None:
    async with followed(world, maxlen=100) as (writing, gateway, outlet):
        await writing.upto(5)
        await gateway.reached(5)
        async with world.redis.pipeline(transaction=True) as cut:  # no message, no check in between
            cut.delete(KEYS.log)
            cut.xadd(KEYS.log, {"e": change(900).envelope, "b": "{}", "p": "899-0"}, id="900-0")
            cut.hset(KEYS.head, mapping={"position": "900-0", "floor": "899-0"})
            await cut.execute()
        await gateway.reached(900)
    assert outlet.positions == list(range(1, 6))
    assert outlet.resyncs == [("history_lost", "e1.900-0")]


async def test_a_new_epoch_is_announced_with_its_reason_also_to_cursors_of_the_old_one(world: World) -> None:
    writing = world.writing()
    await writing.begin()
    await writing.upto(10)
    async with world.gateway() as gateway:
        live, late = Outlet(), Outlet()
        await gateway.join(live)
        await writing.begin("e2", EpochReason.COLLECTION_DROPPED)
        await until(lambda: live.resyncs, "the client is told")
        await gateway.join(late, at(10))
        await writing.upto(12)
        await gateway.reached(12)
    assert live.resyncs == late.resyncs == [("collection_dropped", "e2.10-0")]
    assert live.positions == late.positions == [11, 12]


async def test_a_redis_that_restarts_empty_is_forgiven_once_it_is_rebuilt(world: World) -> None:
    async with followed(world) as (writing, gateway, outlet):
        await writing.upto(10)
        await gateway.reached(10)
        await world.server.kill()
        await world.server.start()
        await world.redis.connection_pool.disconnect()
        writing.last = 0
        await writing.begin()
        await writing.upto(20)
        await gateway.reached(20)
    assert outlet.positions == list(range(1, 21))
    assert outlet.resyncs == []


async def test_a_client_that_is_full_again_and_again_while_it_is_read_for_gets_everything(world: World) -> None:
    """It takes data again in the very moment in which the reading for it ends."""
    writing = world.writing()
    await writing.begin()
    await writing.upto(5000, at_once=500)
    async with world.gateway() as gateway:
        outlet = Outlet(room=1)
        loop = asyncio.get_running_loop()
        subscription = gateway.hub.subscribe(outlet, EVERYTHING, Position(0, 0))

        def full() -> None:
            gateway.hub.pause(subscription)
            outlet.room = 1
            loop.call_soon(gateway.hub.resume, subscription)

        outlet.full = full
        gateway.hub.resume(subscription)
        await until(lambda: len(outlet.positions) >= 5000, "the client has everything")
        await writing.upto(5001)
        await gateway.reached(5001)
        await until(lambda: len(outlet.positions) >= 5001, "the client is live")
    assert outlet.positions == list(range(1, 5002))


async def test_many_clients_that_are_behind_are_all_served(world: World) -> None:
    writing = world.writing()
    await writing.begin()
    await writing.upto(1500, at_once=500)
    async with world.gateway() as gateway:
        outlets = [Outlet() for _ in range(30)]
        for start, outlet in enumerate(outlets):
            await gateway.join(outlet, at(start))
        await until(lambda: all(outlet.positions[-1:] == [1500] for outlet in outlets), "everyone has everything")
    assert [outlet.positions for outlet in outlets] == [list(range(start + 1, 1501)) for start in range(30)]


async def test_many_clients_of_one_account_that_are_behind_do_not_keep_another_waiting(world: World) -> None:
    """Pages of the log were read for all in the order in which they asked, and nobody took turns."""
    writing = world.writing()
    await writing.begin()
    await writing.upto(1500, at_once=500)
    async with world.gateway() as gateway:
        crowd, other = [Outlet() for _ in range(60)], Outlet()
        for outlet in crowd:
            await gateway.join(outlet, at(0), "crowd")
        await gateway.join(other, at(0), "other")
        await until(lambda: len(other.writes) and other.positions[-1] == 1500, "the other one is served")
        assert sum(len(outlet.positions) for outlet in crowd) < 10 * 1500  # it was sixty times as much
        await until(lambda: all(outlet.positions[-1:] == [1500] for outlet in crowd), "everyone has everything", 60)
    assert [outlet.positions for outlet in [*crowd, other]] == [list(range(1, 1501))] * 61


async def test_clients_that_leave_while_they_wait_for_their_turn_cost_no_page_of_the_log(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing = world.writing()
    await writing.begin()
    await writing.upto(1500, at_once=500)
    async with world.gateway() as gateway:
        pages: list[Position] = []
        after = RedisLog.after

        async def counted(redis_log: RedisLog, position: Position) -> LogPage:
            pages.append(position)
            return await after(redis_log, position)

        monkeypatch.setattr(RedisLog, "after", counted)
        world.server.pause()
        crowd = [await gateway.join(Outlet(), at(0), "crowd") for _ in range(60)]
        await until(lambda: bool(pages), "the first one waits for Redis")
        for subscription in crowd:
            gateway.hub.unsubscribe(subscription)
        world.server.resume()
        other = Outlet()
        await gateway.join(other, at(0), "crowd")  # behind all of them
        await until(lambda: other.positions[-1:] == [1500], "one who stays is served")
    assert pages.count(Position(0, 0)) <= 1 + OF_ONE_ACCOUNT


async def test_an_error_while_one_client_is_served_from_redis_costs_that_client_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    after = RedisLog.after

    async def odd(log: RedisLog, position: Position) -> LogPage:
        if position == Position(3, 0):
            raise LookupError("odd")
        return await after(log, position)

    monkeypatch.setattr(RedisLog, "after", odd)
    writing = world.writing()
    await writing.begin()
    await writing.upto(200)
    async with world.gateway() as gateway:
        bad, good = Outlet(), Outlet()
        await gateway.join(bad, at(3))
        await gateway.join(good, at(4))
        await until(lambda: bad.aborted, "the connection is cut")
        await writing.upto(201)
        await until(lambda: good.positions == list(range(5, 202)), "the other is served")
    assert bad.positions == []
