"""Clients that only the oplog can serve: their events, their bounded cost, and that none waits in vain."""

import asyncio

import pytest
from redis.asyncio import Redis

from services.common.cursor import Cursor, Position, cluster_time
from services.common.normalize import EpochReason
from services.gateway.hub import Hub
from services.gateway.replay import ReplayBounds
from tests.conftest import OwnMongod, OwnValkey
from tests.faults.oplog import SMALL, write_over
from tests.integration.cursors import open_cursors
from tests.integration.fed_gateway import Gateway, World
from tests.integration.past import Past, past_of
from tests.stream_events import Outlet
from tests.waiting import until


def is_served(outlet: Outlet, past: Past, first: int = 0) -> bool:
    return outlet.positions == past.positions[first:]


async def test_clients_that_come_back_late_get_everything_once_by_one_pass(past: Past) -> None:
    await past.write(300)
    await past.forget()
    async with past.world.gateway() as gateway:
        outlets = [Outlet() for _ in range(20)]
        for number, outlet in enumerate(outlets):
            await gateway.join(outlet, past.before(10 * number), f"account-{number}")
        await until(lambda: is_served(outlets[-1], past, 190), "the last one has everything")
        await until(lambda: is_served(outlets[0], past), "so has the first one")
        for number, outlet in enumerate(outlets):
            await until(lambda: is_served(outlet, past, 10 * number), f"number {number} has everything")  # noqa: B023
        # One to find out how far back the oplog goes, and for each client that came when a pass had gone by, one more.
        assert gateway.asked.times["aggregate"] <= 6
        await until(lambda: gateway.replayed["served"] == 20, "it is counted, though nothing more happens", 5)


async def test_after_the_oplog_a_client_is_live(past: Past) -> None:
    await past.write(120)
    writing = await past.forget()
    async with past.world.gateway() as gateway:
        outlet = Outlet()
        await gateway.join(outlet, past.before(0))
        await until(lambda: is_served(outlet, past), "it has everything")
        last = past.positions[-1]
        writing.last = last + 10
        await writing.publisher.restart_log("e2", EpochReason.COLLECTION_DROPPED, Position(last + 10, 0), "")
        await until(lambda: outlet.resyncs, "it is told of the new epoch")
    assert outlet.resyncs == [("collection_dropped", f"e2.{last + 10}-0")]


async def test_clients_that_leave_at_once_cost_mongodb_nothing(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.replays.GATHER_SECONDS", 1)  # however busy this machine is
    await past.write(200)
    await past.forget()
    async with past.world.gateway() as gateway:
        for _ in range(50):
            subscription = await gateway.join(Outlet(), past.before(0), "10.0.0.1")
            await asyncio.sleep(0.01)  # the time that the first byte takes to them, and the news of their end back
            gateway.hub.unsubscribe(subscription)
        await joins_and_is_served(gateway, past, "10.0.0.1")
        # How far back the oplog goes, twice perhaps on a slow machine, and the one that has stayed.
        assert gateway.asked.times["aggregate"] <= 4


async def test_a_pass_without_waiting_clients_is_ended_in_the_middle_of_a_query(past: Past) -> None:
    await past.write(200)
    await past.forget()
    async with past.world.gateway() as gateway:
        async with past.failing(["getMore"], blockConnection=True, blockTimeMS=9_000):
            subscription = await gateway.join(Outlet(), past.before(0))
            await until(lambda: gateway.asked.times["getMore"], "the oplog is being read")
            gateway.hub.unsubscribe(subscription)

            async def is_forgotten() -> bool:
                return await open_cursors(past.orders.database, "$cmd.aggregate") == 0

            await until(is_forgotten, "MongoDB has forgotten the cursor", 5)  # while it is blocked
        await joins_and_is_served(gateway, past)


async def joins_and_is_served(gateway: Gateway, past: Past, account: str = "") -> None:
    outlet = Outlet()
    await gateway.join(outlet, past.before(0), account)
    await until(lambda: is_served(outlet, past), "one that comes later is served")


async def test_more_than_the_most_changes_are_not_replayed(past: Past) -> None:
    await past.write(200)
    await past.forget()
    async with past.world.gateway(bounds=ReplayBounds(events=120)) as gateway:
        far, near = Outlet(), Outlet()
        await gateway.join(far, past.before(0))
        await gateway.join(near, past.before(100))
        await until(lambda: far.resyncs, "the far one is told")
        await until(lambda: is_served(near, past, 100), "the near one is served")
    assert [reason for reason, _ in far.resyncs] == ["replay_too_long"]
    assert len(far.positions) <= 120
    assert near.resyncs == []


async def test_a_cursor_that_is_too_old_is_refused_without_a_query_to_mongodb(past: Past) -> None:
    await past.write(10)
    await past.later(3)
    await past.write(10)
    await past.forget()
    async with past.world.gateway(bounds=ReplayBounds(age=1)) as gateway:
        old, young = Outlet(), Outlet()
        await gateway.join(old, past.before(0))
        assert gateway.asked.times["aggregate"] == 0
        await gateway.join(young, past.before(10))
        await until(lambda: is_served(young, past, 10), "the young one is served")
    assert [reason for reason, _ in old.resyncs] == ["replay_too_long"]


async def test_one_account_has_so_many_passes_and_the_others_have_theirs(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.replay.NEAR_SECONDS", 0)
    for _ in range(3):
        await past.write(100)
        await past.later(3)
    await past.write(100)
    await past.forget()
    async with past.world.gateway(bounds=ReplayBounds(passes_per_account=1, patience=60)) as gateway:
        async with past.failing(["getMore"], blockConnection=True, blockTimeMS=300):
            near, far, other = Outlet(), Outlet(), Outlet()
            await gateway.join(near, past.before(300), "10.0.0.1")
            await gateway.join(far, past.before(0), "10.0.0.1")
            await gateway.join(other, past.before(0), "10.0.0.2")
        await until(lambda: is_served(near, past, 300), "the first one is served")
        await until(lambda: is_served(other, past), "so is the one of another account")
        await until(lambda: gateway.replayed["served"] == 2, "nothing is read for them any more")
        await joins_and_is_served(gateway, past, "10.0.0.1")
    assert [reason for reason, _ in far.resyncs] == ["too_many_replays"]


async def test_the_passes_of_all_accounts_together_are_bounded(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.replay.NEAR_SECONDS", 0)
    await past.write(100)
    await past.later(3)
    await past.write(100)
    await past.forget()
    async with past.world.gateway(bounds=ReplayBounds(passes=1)) as gateway:
        async with past.failing(["getMore"], blockConnection=True, blockTimeMS=300):
            near, far = Outlet(), Outlet()
            await gateway.join(near, past.before(100), "10.0.0.1")
            await gateway.join(far, past.before(0), "10.0.0.2")
        await until(lambda: is_served(near, past, 100), "the first one is served")
    assert [reason for reason, _ in far.resyncs] == ["too_many_replays"]


async def test_no_client_waits_behind_the_very_old_cursors_of_others(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.replay.NEAR_SECONDS", 0)
    await past.write(2000)
    await past.later(5)
    await past.write(2000)
    await past.later(2)
    await past.write(50)
    await past.forget()
    async with past.world.gateway() as gateway:
        async with past.failing(["getMore"], blockConnection=True, blockTimeMS=200):
            far, middle, near = Outlet(), Outlet(), Outlet()
            await gateway.join(far, past.before(0), "10.0.0.1")
            await gateway.join(middle, past.before(2000), "10.0.0.2")
            await until(lambda: far.positions and middle.positions, "both readers are busy")
            await gateway.join(near, past.before(4000), "10.0.0.3")
            await until(lambda: is_served(near, past, 4000), "the near one is served")
            assert not is_served(far, past)
            assert not is_served(middle, past, 2000)
        await until(lambda: is_served(far, past) and is_served(middle, past, 2000), "so are the others", 60)


@pytest.mark.parametrize("commands", [["aggregate"], ["getMore"], ["aggregate", "getMore"]])
async def test_transient_errors_are_not_reported_to_clients(past: Past, commands: list[str]) -> None:
    await past.write(200)
    await past.forget()
    async with past.world.gateway() as gateway:
        outlet = Outlet()
        async with past.failing(commands, times=3, errorCode=11600, errorLabels=["ResumableChangeStreamError"]):
            await gateway.join(outlet, past.before(0))
            await until(lambda: is_served(outlet, past), "it has everything")
    assert outlet.resyncs == []


@pytest.mark.parametrize(
    ("command", "code", "reason"),
    [
        ("aggregate", 13, "history_unavailable"),
        ("aggregate", 286, "history_lost"),
        ("getMore", 280, "history_lost"),
        ("getMore", 40573, "history_lost"),
    ],
)
async def test_lasting_errors_are_reported_with_their_reason(past: Past, command: str, code: int, reason: str) -> None:
    await past.write(200)
    await past.forget()
    async with past.world.gateway(bounds=ReplayBounds(patience=1)) as gateway:
        outlet = Outlet()
        async with past.failing([command], errorCode=code):
            await gateway.join(outlet, past.before(0))
            await until(lambda: outlet.resyncs, "it is told")
    assert [told for told, _ in outlet.resyncs] == [reason]


async def test_errors_that_come_again_after_each_page_are_logged_once(
    past: Past, capsys: pytest.CaptureFixture[str]
) -> None:
    await past.write(200)
    await past.forget()
    async with past.world.gateway() as gateway, past.failing(["getMore"], errorCode=13):
        outlet = Outlet()
        await gateway.join(outlet, past.before(0))
        await until(lambda: is_served(outlet, past), "the first page of each opening gets it on")
    assert capsys.readouterr().out.count("oplog failed") == 1


async def test_a_lost_position_is_remembered_for_all_older_ones(past: Past) -> None:
    await past.write(200)
    await past.orders.drop()
    await past.forget()
    async with past.world.gateway() as gateway:
        first, second = Outlet(), Outlet()
        await gateway.join(first, past.before(100))
        await until(lambda: first.resyncs, "the history breaks there")
        asked = gateway.asked.times.total()
        await gateway.join(second, past.before(50))
        assert gateway.asked.times.total() == asked
    assert [reason for reason, _ in second.resyncs] == ["history_lost"]


async def test_a_client_that_is_full_again_and_again_gets_everything(past: Past) -> None:
    await past.write(300)
    await past.forget()
    async with past.world.gateway() as gateway:
        outlet = Outlet()
        subscription = await gateway.join(outlet, past.before(0))
        loop = asyncio.get_running_loop()

        def full() -> None:
            gateway.hub.pause(subscription)
            outlet.room = 1
            loop.call_later(0.01, Hub.resume, gateway.hub, subscription)

        outlet.room, outlet.full = 1, full
        await until(lambda: is_served(outlet, past), "it has everything")
        assert gateway.asked.times["aggregate"] <= 3  # the pass waits for it


async def test_an_event_that_mongodb_cannot_deliver_is_stepped_over(past: Past) -> None:
    await past.write(3)
    large = (await past.orders.insert_one({"filler": "x" * 9_000_000})).inserted_id
    await past.orders.update_one({"_id": large}, {"$set": {"number": 8}})  # 18 MB with both images
    await past.orders.insert_one({"number": 9})
    floor = Position.end_of(cluster_time((await past.orders.database.command("ping"))["operationTime"]))
    await past.world.writing().publisher.restart_log("e1", EpochReason.FIRST_START, floor, "")
    async with past.world.gateway() as gateway:
        outlet = Outlet()
        await gateway.join(outlet, past.before(0))
        await until(lambda: len(outlet.positions) == 6, "all came")
    assert [each["data"] is None for each in outlet.seen] == [False, False, False, True, True, False]
    assert [each["operation"] for each in outlet.seen[3:]] == ["INSERT", "UPDATE", "INSERT"]
    assert outlet.seen[4]["id"] == str(large)
    assert outlet.resyncs == []


async def test_lost_history_is_found_out_before_the_client_is_greeted(
    own_mongod: OwnMongod, own_valkey: OwnValkey
) -> None:
    mongod = await own_mongod(*SMALL)
    valkey = await own_valkey()
    async with Redis.from_url(valkey.uri()) as redis, past_of(World(valkey, redis, mongod.uri("shop"))) as past:
        await past.write(10)
        await write_over(mongod.uri("shop"))
        await past.forget()
        async with past.world.gateway() as gateway:
            for number in (5, 4, 3):
                outlet = Outlet()
                await gateway.join(outlet, past.before(number))
                assert [reason for reason, _ in outlet.resyncs] == ["history_lost"]
            assert gateway.asked.times["aggregate"] == 1
            assert gateway.replayed == {}


async def test_a_cursor_of_an_epoch_that_ends_while_the_oplog_is_asked_is_answered_by_the_new_one(past: Past) -> None:
    await past.write(10)
    writing = await past.forget()
    async with past.world.gateway() as gateway:
        outlet = Outlet()
        async with past.failing(["aggregate"], times=1, blockConnection=True, blockTimeMS=1500):
            joining = asyncio.create_task(gateway.join(outlet, Cursor("e1", past.before(0).position)))
            await until(lambda: gateway.asked.times["aggregate"], "the oplog is asked")
            await writing.publisher.restart_log(
                "e2", EpochReason.COLLECTION_DROPPED, Position(past.positions[-1] + 9, 0), ""
            )
            await until(lambda: gateway.ring.epoch == "e2", "a new epoch has begun")
            await joining
    assert [reason for reason, _ in outlet.resyncs] == ["collection_dropped"]
