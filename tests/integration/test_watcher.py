"""The watcher as a process: every change that MongoDB acknowledged is in the log once and in order, whatever dies."""

import json

from bson import ObjectId

from services.common.cursor import Cursor
from tests.integration.watched_orders import JOHN, Stack, Writer, operations
from tests.log_entries import KEYS, entries
from tests.waiting import until


async def test_each_way_to_write_gives_its_envelope_in_commit_order(stack: Stack) -> None:
    await stack.watcher()
    orders = stack.orders
    ids = [ObjectId() for _ in range(4)]
    await orders.insert_one({"_id": ids[0], **JOHN})
    await orders.update_one({"_id": ids[0]}, {"$set": {"status": "shipped"}})
    await orders.replace_one({"_id": ids[0]}, {**JOHN, "status": "delivered"})
    await orders.delete_one({"_id": ids[0]})
    async with orders.database.client.start_session() as session, await session.start_transaction():
        await orders.insert_one({"_id": ids[1], **JOHN}, session=session)
        await orders.insert_one({"_id": ids[2], **JOHN}, session=session)
        await orders.update_one({"_id": ids[1]}, {"$set": {"status": "shipped"}}, session=session)
    await orders.update_many({"_id": {"$in": ids}}, {"$set": {"product_name": "Desk"}})
    await orders.delete_many({"_id": {"$in": ids}})
    log = await stack.log_of(11)
    first, second, third = (str(order) for order in ids[:3])
    assert operations(log)[:7] == [
        ("INSERT", first),
        ("UPDATE", first),
        ("UPDATE", first),
        ("DELETE", first),
        ("INSERT", second),
        ("INSERT", third),
        ("UPDATE", second),
    ]
    assert sorted(operations(log)[7:9]) == sorted([("UPDATE", second), ("UPDATE", third)])
    assert sorted(operations(log)[9:]) == sorted([("DELETE", second), ("DELETE", third)])
    assert [each["data"]["status"] for each in log[:7]] == [
        "pending",
        "shipped",
        "delivered",
        "delivered",
        "pending",
        "pending",
        "shipped",
    ]
    assert {each["data"]["product_name"] for each in log[7:]} == {"Desk"}
    transaction = [Cursor.parse(each["cursor"]).position for each in log[4:7]]
    assert {place.ts for place in transaction} == {transaction[0].ts}
    assert [place.n for place in transaction] == [0, 1, 2]


async def test_an_orders_previous_state_goes_to_the_filters_only(stack: Stack) -> None:
    await stack.watcher()
    order = (await stack.orders.insert_one({**JOHN})).inserted_id
    await stack.orders.update_one({"_id": order}, {"$set": {"status": "shipped"}})
    await stack.log_of(2)
    inserted, updated = await entries(stack.redis)
    before, after = ({"status": status, "customer_name": "John Doe"} for status in ("pending", "shipped"))
    assert json.loads(inserted.images) == {"after": before, "before": None}
    assert json.loads(updated.images) == {"after": after, "before": before}
    assert b"pending" not in updated.envelope


async def test_only_the_change_that_is_too_large_to_deliver_goes_without_its_data(stack: Stack) -> None:
    watcher = await stack.watcher(QUEUE_MAX_EVENTS="4")
    await until(stack.state, "the checkpoint is saved")
    await watcher.stop()
    large = (await stack.orders.insert_one({**JOHN, "filler": "x" * 9_000_000})).inserted_id
    await stack.orders.insert_many([{**JOHN} for _ in range(3)])
    await stack.orders.update_one({"_id": large}, {"$set": {"status": "shipped"}})  # 18 MB with both images
    await watcher.start()
    log = await stack.log_of(5)
    assert [each["data"] is None for each in log] == [True, False, False, False, True]
    assert "too large" not in watcher.output  # MongoDB itself leaves the images out: nothing has to be read again


async def test_a_watcher_killed_again_and_again_misses_nothing_and_repeats_nothing(stack: Stack) -> None:
    watcher = await stack.watcher()
    async with Writer(stack.orders) as writer:
        for _ in range(3):
            await writer.has_written(150)
            await watcher.kill()
            await writer.has_written(50)
            await watcher.start()
        await writer.has_written(100)
    log = await stack.log_of(len(writer.done))
    assert operations(log) == writer.done
    assert len({Cursor.parse(each["cursor"]).epoch for each in log}) == 1


async def test_a_log_that_redis_loses_under_load_is_rebuilt_with_the_same_ids_and_bytes(stack: Stack) -> None:
    watcher = await stack.watcher()
    epoch = await stack.epoch()
    async with Writer(stack.orders) as writer:
        for lost in ([KEYS.log], [KEYS.head], [KEYS.log, KEYS.head]):
            await writer.has_written(150)
            before = {entry.id: entry[1:] for entry in await entries(stack.redis)}
            told = len(writer.done)
            await stack.redis.delete(*lost)
            await writer.has_written(150)  # so the last of these was not in the log that was lost
            after = {entry.id: entry[1:] for entry in await stack.entries_with(writer.done[-1])}
            # It begins ten seconds back, which is not all that was written here where the machine is slow.
            kept = list(before.items())[-len([place for place in before if place in after]) :]
            assert kept[-1][0] in after
            changed = [place for place, entry in kept if after.get(place, ())[:2] != entry[:2]]
            assert changed == []
    log = operations(await stack.log_ending_with(writer.done[told:]))
    count = min(len(log), len(writer.done))
    assert log[-count:] == writer.done[-count:]
    assert await stack.epoch() == epoch
    assert "never retrieved" not in watcher.output


async def test_a_quiet_stream_that_redis_lost_is_rebuilt_once(stack: Stack) -> None:
    watcher = await stack.watcher()
    epoch = await stack.epoch()
    await until(stack.state, "the checkpoint is saved")
    await stack.redis.flushdb()
    await until(stack.epoch, "the log is rebuilt")
    assert watcher.output.count("Rebuilding") == 1
    token = (await stack.state())["resume_token"]

    async def moved() -> bool:
        return bool((await stack.state())["resume_token"] != token)

    await until(moved, "the token of the quiet stream moves on")
    await watcher.stop()
    await watcher.start()
    await stack.orders.insert_one({**JOHN})
    await stack.log_of(1)
    assert await stack.epoch() == epoch
    assert watcher.output.count("Rebuilding") == 1


async def test_while_nothing_changes_the_saved_token_moves_on(stack: Stack) -> None:
    await stack.watcher()
    await stack.orders.insert_one({**JOHN})
    [change] = await stack.log_of(1)
    position = str(Cursor.parse(change["cursor"]).position)

    async def saved() -> bool:
        return bool((await stack.state()).get("position") == position)

    await until(saved, "the change is saved")
    token = (await stack.state())["resume_token"]
    await stack.orders.database["elsewhere"].insert_one({})

    async def moved() -> bool:
        return bool((await stack.state())["resume_token"] > token)

    await until(moved, "the token moves")
    assert await saved()
