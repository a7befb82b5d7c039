"""The scripts that write the log: all or nothing, each change once, and only by the newest term."""

import asyncio
import json
from typing import Any

import pytest
from redis.asyncio import Redis

from services.common.cursor import Position
from services.common.normalize import Change, EpochReason
from services.watcher.publisher import UPKEEP_CHANGES, UPKEEP_SECONDS, Fenced, Published, Publisher, PublishFailed
from services.watcher.start import PublishedHead
from tests.conftest import OwnValkey
from tests.log_entries import KEYS, entries, head, ids, new_publisher, publish
from tests.stream_events import change
from tests.waiting import HANGS, until

START = Position(10, 0)


async def begun(redis: Redis, term: int = 1, maxlen: int = 1000, start: Position = START) -> Publisher:
    publisher = new_publisher(redis, term, maxlen)
    await publisher.restart_log("e1", EpochReason.FIRST_START, start, "token-0")
    return publisher


def batch(first: int, last: int) -> list[Change]:
    return [change(number, data={"number": number}) for number in range(first, last + 1)]


async def test_a_batch_is_appended_and_the_head_moves(redis: Redis) -> None:
    publisher = await begun(redis)
    assert await publish(publisher, "e1", START, batch(11, 13)) is Published.OK
    assert await ids(redis) == ["11-0", "12-0", "13-0"]
    found = await head(redis)
    assert {name: found[name] for name in ("term", "epoch", "position", "floor", "token", "reason")} == {
        "term": "1",
        "epoch": "e1",
        "position": "13-0",
        "floor": "10-0",
        "token": "token-13-0",
        "reason": "first_start",
    }
    found_entries = await entries(redis)
    assert found_entries[0][1:] == (change(11, data={"number": 11}).envelope, b'{"after":{},"before":null}', "10-0")
    assert [entry.previous for entry in found_entries] == ["10-0", "11-0", "12-0"]


async def test_the_message_holds_the_appended_entries_and_their_predecessor(redis: Redis) -> None:
    publisher = new_publisher(redis)
    async with redis.pubsub() as channel:
        await channel.subscribe(KEYS.channel)
        await publisher.restart_log("e1", None, START, "")
        await publish(publisher, "e1", START, batch(11, 12))
        await publish(publisher, "e1", Position(11, 0), batch(12, 13))
        await publish(publisher, "e1", START, batch(11, 13))
        await publish(publisher, "e1", Position(13, 0), [])
        await publish(publisher, "e1", Position(13, 0), [change(14, before={"status": "pending"})])
        told = await messages(channel, until="14-0")
    assert [(each["epoch"], each["prev"], positions(each)) for each in told] == [
        ("e1", "10-0", []),
        ("e1", "10-0", ["11-0", "12-0"]),
        ("e1", "12-0", ["13-0"]),
        ("e1", "13-0", ["14-0"]),
    ]
    assert told[-1]["images"] == [{"after": None, "before": {"status": "pending"}}]
    assert told[1]["images"] == [{"after": {}, "before": None}] * 2


async def messages(channel: Any, until: str) -> list[dict[str, Any]]:
    """Return the messages of this test; other users of this server share the channel."""
    found = []
    async with asyncio.timeout(HANGS):
        async for message in channel.listen():
            if message["type"] == "message" and (told := json.loads(message["data"]))["epoch"] == "e1":
                found.append(told)
                if until in positions(told):
                    break
    return found


def positions(told: dict[str, Any]) -> list[str]:
    return [event["cursor"].partition(".")[2] for event in told["events"]]


@pytest.mark.parametrize(
    ("prev", "repeated", "expected"),
    [
        (START, batch(11, 13), ["11-0", "12-0", "13-0"]),
        (START, batch(11, 11), ["11-0", "12-0", "13-0"]),
        (Position(12, 0), batch(13, 15), ["11-0", "12-0", "13-0", "14-0", "15-0"]),
        (START, batch(11, 14), ["11-0", "12-0", "13-0", "14-0"]),
        (Position(13, 0), batch(14, 14), ["11-0", "12-0", "13-0", "14-0"]),
        (Position(12, 0), [], ["11-0", "12-0", "13-0"]),
    ],
)
async def test_entries_that_exist_already_are_left_out(
    redis: Redis, prev: Position, repeated: list[Change], expected: list[str]
) -> None:
    publisher = await begun(redis)
    await publish(publisher, "e1", START, batch(11, 13))
    assert await publish(publisher, "e1", prev, repeated) is Published.OK
    assert await ids(redis) == expected
    found = await head(redis)
    assert (found["position"], found["token"]) == (expected[-1], f"token-{expected[-1]}")


async def test_a_log_that_ends_before_the_batch_begins_is_a_gap(redis: Redis) -> None:
    publisher = await begun(redis)
    assert await publish(publisher, "e1", Position(12, 0), batch(13, 14)) is Published.GAP
    assert await publish(publisher, "e1", Position(12, 0), []) is Published.GAP
    assert await ids(redis) == []


@pytest.mark.parametrize("lost", [[KEYS.head], [KEYS.log], [KEYS.head, KEYS.log]])
async def test_a_lost_key_is_a_gap_until_the_log_is_restarted(redis: Redis, lost: list[str]) -> None:
    publisher = await begun(redis)
    await publish(publisher, "e1", START, batch(11, 13))
    await redis.delete(*lost)
    assert await publish(publisher, "e1", Position(13, 0), batch(14, 14)) is Published.GAP
    assert await publish(publisher, "e1", Position(13, 0), []) is Published.GAP
    assert await publish(publisher, "e1", START, batch(11, 14)) is Published.GAP
    assert await publisher.claim() is None
    await publisher.restart_log("e1", None, START, "")
    assert await publish(publisher, "e1", START, batch(11, 14)) is Published.OK
    assert await ids(redis) == ["11-0", "12-0", "13-0", "14-0"]


@pytest.mark.parametrize("keep", [0, 2])
async def test_a_log_that_lost_its_tail_is_a_gap(redis: Redis, keep: int) -> None:
    publisher = await begun(redis)
    await publish(publisher, "e1", START, batch(11, 13))
    for number in range(11 + keep, 14):
        await redis.xdel(KEYS.log, f"{number}-0")
    assert await publish(publisher, "e1", Position(13, 0), batch(14, 14)) is Published.GAP
    assert await publisher.claim() is None


async def test_another_epoch_is_a_gap(redis: Redis) -> None:
    publisher = await begun(redis)
    assert await publish(publisher, "e2", START, batch(11, 11)) is Published.GAP


async def test_positions_are_compared_as_the_64_bit_numbers_they_are(redis: Redis) -> None:
    """As Lua's numbers, those beyond 2^53 would be equal to their neighbours."""
    near = 2**63 + 1
    publisher = await begun(redis, start=Position(near, 0))
    chain = [
        Position(near, 1),
        Position(near + 1, 0),
        Position(near + 1, 9),
        Position(near + 1, 10),
        Position(near + 2, 0),
    ]
    last = Position(near, 0)
    for place in chain:
        assert await publish(publisher, "e1", last, [change(place)]) is Published.OK
        last = place
    assert await ids(redis) == [str(place) for place in chain]
    assert await publish(publisher, "e1", Position(near + 3, 0), []) is Published.GAP
    assert await publish(publisher, "e1", Position(near + 2, 1), []) is Published.GAP
    for place in chain:
        assert await publish(publisher, "e1", place, []) is Published.OK
    assert await publish(publisher, "e1", Position(9, 99), [change(chain[-1])]) is Published.OK
    assert len(await ids(redis)) == len(chain)


async def test_a_shorter_number_is_the_smaller_one(redis: Redis) -> None:
    publisher = await begun(redis, start=Position(9, 0))
    assert await publish(publisher, "e1", Position(9, 0), batch(10, 100)) is Published.OK
    assert await publish(publisher, "e1", Position(99, 0), batch(100, 101)) is Published.OK
    assert (await ids(redis))[-2:] == ["100-0", "101-0"]


async def test_a_watcher_of_an_older_term_is_shut_out_from_everything(redis: Redis) -> None:
    old = await begun(redis, term=9)
    await publish(old, "e1", START, batch(11, 11))
    assert await new_publisher(redis, term=10).claim() == PublishedHead("e1", Position(11, 0), "token-11-0")
    with pytest.raises(Fenced) as fenced:
        await publish(old, "e1", Position(11, 0), batch(12, 12))
    assert fenced.value.term == 10
    for attempt in (old.claim(), publish(old, "e1", START, []), old.restart_log("e2", None, START, "")):
        with pytest.raises(Fenced):
            await attempt
    assert await ids(redis) == ["11-0"]
    assert (await head(redis))["epoch"] == "e1"


async def test_a_claim_on_an_empty_redis_shuts_out_too(redis: Redis) -> None:
    assert await new_publisher(redis, term=5).claim() is None
    with pytest.raises(Fenced):
        await begun(redis, term=4)


async def test_a_new_log_that_holds_nothing_yet_is_whole(redis: Redis) -> None:
    publisher = await begun(redis)
    assert await publisher.claim() == PublishedHead("e1", START, "token-0")


async def test_the_floor_is_the_last_trimmed_entry(redis: Redis) -> None:
    publisher = await begun(redis, maxlen=100)
    last = START
    for first in range(11, 1011, 50):
        assert await publish(publisher, "e1", last, batch(first, first + 49)) is Published.OK
        last = Position(first + 49, 0)
    kept = await ids(redis)
    assert 100 <= len(kept) < 400
    oldest = (await entries(redis))[0]
    assert (await head(redis))["floor"] == oldest.previous == f"{int(oldest.id.partition('-')[0]) - 1}-0"
    assert kept[-1] == "1010-0"


async def test_the_log_is_trimmed_though_changes_come_one_by_one(redis: Redis) -> None:
    publisher = await begun(redis, maxlen=100)
    for number in range(11, 511):
        assert await publish(publisher, "e1", Position(number - 1, 0), batch(number, number)) is Published.OK
    assert 100 <= len(await ids(redis)) < 400
    assert (await head(redis))["floor"] == (await entries(redis))[0].previous


async def test_the_log_is_trimmed_though_quiet_moments_come_in_between(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("services.watcher.publisher.monotonic", lambda: now)
    publisher = await begun(redis, maxlen=100)
    for last in range(10, 510, UPKEEP_CHANGES // 2):
        now += UPKEEP_SECONDS
        assert await publish(publisher, "e1", Position(last, 0), []) is Published.OK
        changes = batch(last + 1, last + UPKEEP_CHANGES // 2)
        assert await publish(publisher, "e1", Position(last, 0), changes) is Published.OK
    assert 100 <= len(await ids(redis)) < 400


async def test_changes_one_by_one_are_a_sign_of_life(redis: Redis) -> None:
    publisher = await begun(redis)
    await publish(publisher, "e1", START, batch(11, 11))
    await redis.hset(KEYS.head, "alive", "0")
    number = 11

    async def is_alive() -> bool:
        nonlocal number
        number += 1
        await publish(publisher, "e1", Position(number - 1, 0), batch(number, number))
        assert number < UPKEEP_CHANGES  # after so many it would be renewed in any case
        return (await head(redis))["alive"] != "0"

    await until(is_alive, "the sign of life is renewed")
    # A whole second would count as up to a second of silence: with STALE_SECONDS=1 the stream could stay stale.
    assert "." in (await head(redis))["alive"]


async def test_to_begin_forgets_the_log_and_tells_the_gateways(redis: Redis) -> None:
    publisher = await begun(redis)
    await publish(publisher, "e1", START, batch(11, 13))
    await publisher.restart_log("e2", EpochReason.COLLECTION_DROPPED, Position(50, 4), "token-d")
    found = await head(redis)
    assert await ids(redis) == []
    assert (found["epoch"], found["position"], found["floor"], found["reason"], found["token"]) == (
        "e2",
        "50-4",
        "50-4",
        "collection_dropped",
        "token-d",
    )


async def test_a_redis_that_lost_the_scripts_gets_them_again(redis: Redis) -> None:
    publisher = await begun(redis)
    await redis.script_flush()
    assert await publish(publisher, "e1", START, batch(11, 11)) is Published.OK
    await redis.script_flush()
    assert await publisher.claim() is not None


async def test_a_key_of_another_type_is_a_fault_and_not_a_repetition(redis: Redis) -> None:
    publisher = await begun(redis)
    await redis.set(KEYS.log, "somebody else's")
    with pytest.raises(PublishFailed, match="WRONGTYPE"):
        await publish(publisher, "e1", START, batch(11, 11))
    assert (await head(redis))["position"] == "10-0"


async def test_a_full_redis_takes_a_batch_whole_or_not_at_all(own_valkey: OwnValkey) -> None:
    server = await own_valkey()
    async with Redis.from_url(server.uri()) as redis:
        publisher = await begun(redis)
        await publish(publisher, "e1", START, batch(11, 13))
        before = await redis.dump(KEYS.head), await ids(redis)
        await redis.config_set("maxmemory", "1")
        async with redis.pubsub() as channel:
            await channel.subscribe(KEYS.channel)
            with pytest.raises(PublishFailed, match="maxmemory"):
                await publish(publisher, "e1", Position(13, 0), batch(14, 200))
            assert (await redis.dump(KEYS.head), await ids(redis)) == before
            await redis.config_set("maxmemory", "0")
            assert await publish(publisher, "e1", Position(13, 0), batch(14, 200)) is Published.OK
            told = await messages(channel, until="200-0")
    assert [(each["prev"], len(each["events"])) for each in told] == [("13-0", 187)]


async def test_a_redis_that_is_gone_is_reported_as_unavailable(own_valkey: OwnValkey) -> None:
    server = await own_valkey()
    async with Redis.from_url(server.uri()) as redis:
        publisher = await begun(redis)
        await server.kill()
        for attempt in (publisher.claim(), publish(publisher, "e1", START, batch(11, 11))):
            with pytest.raises(PublishFailed):
                await attempt
        await server.start()
        assert await publisher.claim() is None


def test_all_keys_are_in_one_slot_of_a_cluster() -> None:
    assert {key.partition("}")[0] for key in KEYS} == {"{orders"}
