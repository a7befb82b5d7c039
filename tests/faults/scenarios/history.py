"""History itself is broken: the oplog forgets, the collection goes, the database is another one."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from services.setup_db import setup
from tests.faults.audit import QUICK, Audit, Load
from tests.faults.crowd import CUSTOMERS, Population
from tests.faults.oplog import SMALL, write_over
from tests.faults.order import stamped
from tests.faults.scenario import scenario
from tests.faults.stack import Shape

LEASE = 5.0
_SMALL = Shape(mongod=SMALL)
_MEDIUM = Load(300.0, Population(60, 40, 6, 4))


@scenario("M8", shape=_SMALL, load=_MEDIUM)
async def forget_the_oplog_while_no_watcher_runs(audit: Audit) -> None:
    """The oplog is written over while both watchers are stopped: a new epoch, and every client is told."""
    await audit.writers.pause()
    await audit.load(1.5)
    await audit.witness.read()
    await asyncio.gather(*(watcher.stop() for watcher in audit.stack.watchers))
    await _forget(audit)
    await asyncio.gather(*(watcher.start() for watcher in audit.stack.watchers))
    audit.writers.resume()
    await audit.recovers("start", within=LEASE + 1)
    await audit.load(2)


@scenario("M9", shape=_SMALL, load=_MEDIUM)
async def forget_the_oplog_under_a_frozen_watcher(audit: Audit) -> None:
    """The oplog overtakes the open change streams of watchers that are frozen: the same, by another error."""
    await audit.writers.pause()
    await audit.load(1.5)
    await audit.witness.read()
    for watcher in audit.stack.watchers:
        watcher.pause()
    await _forget(audit)
    for watcher in audit.stack.watchers:
        watcher.resume()
    audit.writers.resume()
    await audit.recovers("SIGCONT", within=LEASE + 1)
    await audit.load(2)


async def _forget(audit: Audit) -> None:
    audit.expected.told.add("history_lost")
    await write_over(audit.stack.mongodb_uri)
    await audit.witness.begin()
    audit.injected()


@scenario("M8", shape=_SMALL, load=_MEDIUM)
async def stay_quiet_beside_a_busy_neighbour(audit: Audit) -> None:
    """Orders rest while another collection writes the oplog over; the watchers are killed: nobody has to load anew."""
    await audit.writers.pause()
    await audit.load(1.5)
    await audit.witness.read()
    await write_over(audit.stack.mongodb_uri)
    await audit.witness.begin()
    await audit.load(1.5)  # the idle token is saved once a second
    await asyncio.gather(*(watcher.kill() for watcher in audit.stack.watchers))
    audit.injected(3)
    await asyncio.gather(*(watcher.start() for watcher in audit.stack.watchers))
    audit.writers.resume()
    await audit.recovers("start", within=LEASE + 1)
    await audit.load(2)


@scenario("M10", load=_MEDIUM)
async def replace_the_collection(audit: Audit) -> None:
    """Dropped and made anew, renamed away, another one renamed onto it: each time every client is told."""
    audit.expected.told |= {"collection_dropped", "collection_renamed"}

    async def drop(database: "AsyncDatabase[dict[str, Any]]") -> None:
        await database.drop_collection("orders")

    async def rename_away(database: "AsyncDatabase[dict[str, Any]]") -> None:
        await database["orders"].rename("orders_of_old")

    async def rename_onto(database: "AsyncDatabase[dict[str, Any]]") -> None:
        await database.create_collection("orders_to_be", changeStreamPreAndPostImages={"enabled": True})
        await database["orders_to_be"].insert_many([_order(audit) for _ in range(50)])
        await database["orders_to_be"].rename("orders", dropTarget=True)

    for step in (drop, rename_away, rename_onto):
        await _without_writers(audit, step)
        await audit.recovers(step.__name__, within=3.0)
        await audit.load(1)
    counts = [len(record.resyncs) for record in audit.crowd.records]
    if min(counts) < 3:
        audit.wrong(f"three times the history broke, and some clients were told only {min(counts)} times")


@scenario("M10", load=_MEDIUM)
async def drop_the_database(audit: Audit) -> None:
    """DropDatabase takes the orders, the checkpoint and the lease at once, twice."""
    audit.expected.told |= {"database_dropped", "collection_dropped", "state_lost", "first_start"}
    for _ in range(2):
        await _without_writers(audit, lambda database: database.client.drop_database(database.name))
        await audit.recovers("dropDatabase", within=LEASE + 1)
        await audit.load(1)


async def _without_writers(audit: Audit, step: "Callable[[AsyncDatabase[dict[str, Any]]], Awaitable[None]]") -> None:
    """Do something to the collection while nobody writes, and let the writers begin anew."""
    await audit.writers.pause()
    await audit.load(0.5)
    await audit.witness.read()
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(audit.stack.mongodb_uri)
    async with client:
        await step(client.get_default_database())
    audit.injected()
    await _set_up(audit)
    audit.writers.forget()
    audit.writers.resume()


async def _set_up(audit: Audit) -> None:
    """Make the collection as it is meant to be; it has an order already, or it would be given sample orders."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(audit.stack.mongodb_uri)
    async with client:
        await client.get_default_database()["orders"].insert_one(_order(audit))
    await asyncio.to_thread(lambda: list(setup(audit.stack.mongodb_uri)))


@scenario("M17", load=_MEDIUM)
async def replace_the_database(audit: Audit) -> None:
    """MongoDB comes back empty, as another replica set of the same name and address: every client is told."""
    audit.expected.told |= {"state_lost", "database_replaced", "first_start"}
    stack = audit.stack
    await audit.writers.pause()
    await audit.load(1)
    await audit.witness.read()
    await stack.members[0].stop()
    await asyncio.to_thread(shutil.rmtree, stack.members[0].folder / "data")
    await stack.members[0].start()
    audit.injected()
    await audit.witness.begin()
    await _set_up(audit)
    audit.writers.forget()
    audit.writers.resume()
    await audit.recovers("start of another database", within=LEASE + 3)
    await audit.load(2)


@scenario("M17", load=_MEDIUM)
async def restore_an_older_database(audit: Audit) -> None:
    """MongoDB comes back as it was 4 s ago, so that what clients were shown since was never written."""
    audit.expected.told |= {"token_unknown", "database_replaced", "history_lost"}
    stack, member = audit.stack, audit.stack.members[0]
    saved = stack.folder / "backup"
    await audit.writers.pause()
    await member.stop()
    await asyncio.to_thread(shutil.copytree, member.folder / "data", saved)
    await member.start()
    audit.writers.resume()
    await audit.load(4)
    await audit.writers.pause()
    await audit.load(1)
    await audit.witness.read()
    await member.stop()
    await asyncio.to_thread(shutil.rmtree, member.folder / "data")
    await asyncio.to_thread(shutil.copytree, saved, member.folder / "data")
    await member.start()
    audit.injected()
    await audit.witness.begin()
    audit.writers.forget()
    audit.writers.resume()
    await audit.recovers("start of the restored database", within=LEASE + 3)
    await audit.load(2)


@scenario("M11", shape=Shape(mongod=("--oplogSize", "64", "--setParameter", "enableTestCommands=1")))
async def inject_passing_errors(audit: Audit) -> None:
    """The server answers the watcher with errors that pass: nobody has to load anew."""
    for code in (43, 50, 136, 11600, 13, 91, 6):
        await _fail(audit, {"errorCode": code}, times=3)
        await audit.recovers(f"error {code}", within=6.0)
    await _fail(audit, {"closeConnection": True}, times=3)
    await audit.recovers("closed connection", within=6.0)


@scenario("M11", shape=Shape(mongod=("--oplogSize", "64", "--setParameter", "enableTestCommands=1")), load=_MEDIUM)
async def inject_final_errors(audit: Audit) -> None:
    """The server says that the history is lost (286), that the token is unknown (280): told once each, no loop."""
    audit.expected.told |= {"history_lost", "token_unknown"}
    for code in (286, 280):
        await _fail(audit, {"errorCode": code}, times=1)
        await audit.recovers(f"error {code}", within=6.0)
        await audit.load(1)
    most = max(len(record.resyncs) for record in audit.crowd.records)
    if most > 2:
        audit.wrong(f"two errors, and a client was told {most} times to load anew")


async def _fail(audit: Audit, how: dict[str, Any], times: int) -> None:
    """Let the next reads of the watcher's change stream fail; the driver itself gets over one that passes."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(audit.stack.mongodb_uri)
    async with client:
        data = {"failCommands": ["getMore"], "appName": "orders-watcher", **how}
        await client.admin.command("configureFailPoint", "failCommand", mode={"times": times}, data=data)
    audit.injected()


@scenario("M12", load=QUICK)
async def change_an_order_that_is_too_large(audit: Audit) -> None:
    """An order of 9 MB is changed: with its images the event is beyond what MongoDB delivers; clients fetch it."""
    audit.expected.refetch = True
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(audit.stack.mongodb_uri)
    async with client:
        orders = client.get_default_database()["orders"]
        large = {**_order(audit), "filler": "x" * 9_000_000}
        await orders.insert_one(large)
        for _ in range(2):
            stamp = audit.writers.ledger.next_stamp()
            await orders.update_one({"_id": large["_id"]}, {"$set": {"product_name": stamped(stamp)}})
            audit.injected()
            await audit.recovers("a change of 18 MB", within=6.0)
        await orders.delete_one({"_id": large["_id"]})
    await audit.load(1)


@scenario("M14 W1", shape=Shape(settings={"LEASE_SECONDS": "1"}))
async def kill_the_leader_during_large_transactions(audit: Audit) -> None:
    """Transactions of 150 orders each, at one cluster time, while the leader is killed in between."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(audit.stack.mongodb_uri)
    async with client:
        for _ in range(4):
            leader = await audit.stack.leader()
            changing = asyncio.create_task(_change_many(audit, client))
            await audit.load(audit.rng.uniform(0.0, 0.2))
            await leader.kill()
            audit.injected()
            await changing
            await audit.recovers("kill -9", within=3.0)
            await leader.start()


async def _change_many(audit: Audit, client: "AsyncMongoClient[dict[str, Any]]") -> None:
    """Insert 150 orders in one transaction, change them in a second one and delete them in a third."""
    orders = client.get_default_database()["orders"]
    made = [_order(audit) for _ in range(150)]
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
        await audit.load(0.1)


def _order(audit: Audit) -> dict[str, Any]:
    """Make an order whose outcome the ledger leaves open."""
    return {
        "_id": ObjectId(),
        "customer_name": audit.rng.choice(CUSTOMERS),
        "product_name": stamped(audit.writers.ledger.next_stamp()),
        "status": "pending",
        "updated_at": datetime.now(UTC),
    }


SCENARIOS = [
    forget_the_oplog_while_no_watcher_runs,
    forget_the_oplog_under_a_frozen_watcher,
    stay_quiet_beside_a_busy_neighbour,
    replace_the_collection,
    drop_the_database,
    replace_the_database,
    restore_an_older_database,
    inject_passing_errors,
    inject_final_errors,
    change_an_order_that_is_too_large,
    kill_the_leader_during_large_transactions,
]
