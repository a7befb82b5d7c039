"""The oplog is overwritten, the server reports errors, changes are too large or very many."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure

from services.mongodb.change_stream import AWAIT_MS
from tests.faults.audit import QUICK, Audit, Load
from tests.faults.crowd import Population
from tests.faults.oplog import SMALL, write_over
from tests.faults.order import stamped
from tests.faults.scenario import scenario
from tests.faults.scenarios.order import an_order
from tests.faults.stack import Shape

LEASE = 5.0
_SMALL = Shape(mongod=SMALL)
_MEDIUM = Load(300.0, Population(60, 40, 6, 4))


@scenario("M8", shape=_SMALL, load=_MEDIUM)
async def forget_the_oplog_while_no_watcher_runs(audit: Audit) -> None:
    """The oplog is overwritten while both watchers are stopped: a new epoch, and all clients resync."""
    await audit.writers.pause()
    await audit.run_for(1.5)
    await audit.witness.read()
    await asyncio.gather(*(watcher.stop() for watcher in audit.stack.watchers))
    await _forget(audit)
    await asyncio.gather(*(watcher.start() for watcher in audit.stack.watchers))
    audit.writers.resume()
    await audit.expect_recovery("start", within=LEASE + 1)
    await audit.run_for(2)


@scenario("M9", shape=_SMALL, load=_MEDIUM)
async def forget_the_oplog_under_a_frozen_watcher(audit: Audit) -> None:
    """The oplog overtakes the open change streams of watchers that are frozen: the same, by another error."""
    await audit.writers.pause()
    await audit.run_for(1.5)
    await audit.witness.read()
    for watcher in audit.stack.watchers:
        watcher.pause()
    await audit.run_for(AWAIT_MS / 1000 + 1)  # until the pending getMore is answered, MongoDB reads on in the oplog
    await _forget(audit)
    for watcher in audit.stack.watchers:
        watcher.resume()
    audit.writers.resume()
    await audit.expect_recovery("SIGCONT", within=LEASE + 1)
    await audit.run_for(2)


async def _forget(audit: Audit) -> None:
    audit.expected.required_resyncs.add("history_lost")
    await write_over(audit.stack.mongodb_uri)
    await audit.witness.begin()
    audit.injected()


@scenario("M8", shape=_SMALL, load=_MEDIUM)
async def stay_quiet_beside_a_busy_neighbour(audit: Audit) -> None:
    """No order changes while another collection overwrites the oplog; the watchers are killed: no client resyncs."""
    await audit.writers.pause()
    await audit.run_for(1.5)
    await audit.witness.read()
    await write_over(audit.stack.mongodb_uri)
    await audit.witness.begin()
    await audit.run_for(1.5)  # the idle token is saved once a second
    await asyncio.gather(*(watcher.kill() for watcher in audit.stack.watchers))
    audit.injected(3)
    await asyncio.gather(*(watcher.start() for watcher in audit.stack.watchers))
    audit.writers.resume()
    await audit.expect_recovery("start", within=LEASE + 1)
    await audit.run_for(2)


@scenario("M11", shape=Shape(mongod=("--oplogSize", "64", "--setParameter", "enableTestCommands=1")))
async def inject_passing_errors(audit: Audit) -> None:
    """The server answers the watcher with transient errors: no client resyncs."""
    for code in (43, 50, 136, 11600, 13, 91, 6):
        await _fail(audit, {"errorCode": code}, times=3)
        await audit.expect_recovery(f"error {code}", within=6.0)
    await _fail(audit, {"closeConnection": True}, times=3)
    await audit.expect_recovery("closed connection", within=6.0)


@scenario("M11", shape=Shape(mongod=("--oplogSize", "64", "--setParameter", "enableTestCommands=1")), load=_MEDIUM)
async def inject_final_errors(audit: Audit) -> None:
    """The server reports that the history is lost (286), that the token is unknown (280): one resync each, no loop."""
    audit.expected.required_resyncs |= {"history_lost", "token_unknown"}
    for code in (286, 280):
        await _fail(audit, {"errorCode": code}, times=1)
        await audit.expect_recovery(f"error {code}", within=6.0)
        await audit.run_for(1)
    most = max(len(record.resyncs) for record in audit.crowd.records)
    if most > 2:
        audit.report(f"two errors, and a client got {most} resyncs")


async def _fail(audit: Audit, how: dict[str, Any], times: int) -> None:
    """Make the next reads of the watcher's change stream fail; the driver itself retries after one transient error."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(audit.stack.mongodb_uri)
    async with client:
        data = {"failCommands": ["getMore"], "appName": "orders-watcher", **how}
        await client.admin.command("configureFailPoint", "failCommand", mode={"times": times}, data=data)
    audit.injected()


@scenario("M12", load=QUICK)
async def change_an_order_that_is_too_large(audit: Audit) -> None:
    """An order of 9 MB is changed: with its images the event exceeds MongoDB's limit; clients fetch the order."""
    audit.expected.refetch = True
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(audit.stack.mongodb_uri)
    async with client:
        orders = client.get_default_database()["orders"]
        large = {**an_order(audit), "filler": "x" * 9_000_000}
        await orders.insert_one(large)
        for _ in range(2):
            stamp = audit.writers.ledger.next_stamp()
            await orders.update_one({"_id": large["_id"]}, {"$set": {"product_name": stamped(stamp)}})
            audit.injected()
            await audit.expect_recovery("a change of 18 MB", within=6.0)
        await orders.delete_one({"_id": large["_id"]})
    await audit.run_for(1)


@scenario("M14 W1", shape=Shape(settings={"LEASE_SECONDS": "1"}))
async def kill_the_leader_during_large_transactions(audit: Audit) -> None:
    """Transactions of 150 orders each, at one cluster time, while the leader is killed in between."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(audit.stack.mongodb_uri)
    async with client:
        for _ in range(4):
            leader = await audit.stack.leader()
            changing = asyncio.create_task(_change_many(audit, client))
            await audit.run_for(audit.rng.uniform(0.0, 0.2))
            await leader.kill()
            audit.injected()
            await changing
            await audit.expect_recovery("kill -9", within=3.0)
            await leader.start()


async def _change_many(audit: Audit, client: "AsyncMongoClient[dict[str, Any]]") -> None:
    """Insert 150 orders in one transaction, change them in a second one and delete them in a third."""
    orders = client.get_default_database()["orders"]
    made = [an_order(audit) for _ in range(150)]
    every = {"_id": {"$in": [order["_id"] for order in made]}}
    stamp = audit.writers.ledger.next_stamp()
    change = {"$set": {"product_name": stamped(stamp), "status": "shipped"}}
    steps: list[Callable[[Any], Awaitable[object]]] = [
        lambda session: orders.insert_many(made, session=session),
        lambda session: orders.update_many(every, change, session=session),
        lambda session: orders.delete_many(every, session=session),
    ]
    for step in steps:
        try:
            async with client.start_session() as session, await session.start_transaction():
                await step(session)
        except OperationFailure:
            return  # a conflict: the next round will do
        await audit.run_for(0.1)


SCENARIOS = [
    forget_the_oplog_while_no_watcher_runs,
    forget_the_oplog_under_a_frozen_watcher,
    stay_quiet_beside_a_busy_neighbour,
    inject_passing_errors,
    inject_final_errors,
    change_an_order_that_is_too_large,
    kill_the_leader_during_large_transactions,
]
