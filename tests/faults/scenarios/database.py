"""The collection is dropped or replaced, or the whole database is."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from services.commands.setup_db import setup
from tests.faults.audit import Audit, Load
from tests.faults.crowd import Population
from tests.faults.scenario import scenario
from tests.faults.scenarios.order import an_order

LEASE = 5.0
_MEDIUM = Load(300.0, Population(60, 40, 6, 4))


@scenario("M10", load=_MEDIUM)
async def replace_the_collection(audit: Audit) -> None:
    """The collection is dropped and recreated, renamed away, overwritten by a rename: each time all clients resync."""
    audit.expected.required_resyncs |= {"collection_dropped", "collection_renamed"}

    async def drop(database: "AsyncDatabase[dict[str, Any]]") -> None:
        await database.drop_collection("orders")

    async def rename_away(database: "AsyncDatabase[dict[str, Any]]") -> None:
        await database["orders"].rename("orders_of_old")

    async def rename_onto(database: "AsyncDatabase[dict[str, Any]]") -> None:
        await database.create_collection("orders_to_be", changeStreamPreAndPostImages={"enabled": True})
        await database["orders_to_be"].insert_many([an_order(audit) for _ in range(50)])
        await database["orders_to_be"].rename("orders", dropTarget=True)

    for step in (drop, rename_away, rename_onto):
        await _without_writers(audit, step)
        await audit.expect_recovery(step.__name__, within=3.0)
        await audit.run_for(1)
    counts = [len(record.resyncs) for record in audit.crowd.records]
    if min(counts) < 3:
        audit.report(f"history broke three times, and some clients got only {min(counts)} resyncs")


@scenario("M10", load=_MEDIUM)
async def drop_the_database(audit: Audit) -> None:
    """The database is dropped, twice: orders, checkpoint and lease go at once."""
    audit.expected.required_resyncs |= {"database_dropped", "collection_dropped", "state_lost", "first_start"}
    for _ in range(2):
        await _without_writers(audit, lambda database: database.client.drop_database(database.name))
        await audit.expect_recovery("dropDatabase", within=LEASE + 1)
        await audit.run_for(1)


async def _without_writers(audit: Audit, step: "Callable[[AsyncDatabase[dict[str, Any]]], Awaitable[None]]") -> None:
    """Change the collection while no writer runs, and let the writers start over."""
    await audit.writers.pause()
    await audit.run_for(0.5)
    await audit.witness.read()
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(audit.stack.mongodb_uri)
    async with client:
        await step(client.get_default_database())
    audit.injected()
    await _set_up(audit)
    audit.writers.forget()
    audit.writers.resume()


async def _set_up(audit: Audit) -> None:
    """Create the collection as the set-up does; with an order in it, or the set-up would add sample orders."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(audit.stack.mongodb_uri)
    async with client:
        await client.get_default_database()["orders"].insert_one(an_order(audit))
    await asyncio.to_thread(lambda: list(setup(audit.stack.mongodb_uri)))


@scenario("M17", load=_MEDIUM)
async def replace_the_database(audit: Audit) -> None:
    """MongoDB comes back empty, as another replica set of the same name and address: all clients resync."""
    audit.expected.required_resyncs |= {"state_lost", "database_replaced", "first_start"}
    stack = audit.stack
    await audit.writers.pause()
    await audit.run_for(1)
    await audit.witness.read()
    await stack.members[0].stop()
    await asyncio.to_thread(shutil.rmtree, stack.members[0].folder / "data")
    await stack.members[0].start()
    audit.injected()
    await audit.witness.begin()
    await _set_up(audit)
    audit.writers.forget()
    audit.writers.resume()
    await audit.expect_recovery("start of another database", within=LEASE + 3)
    await audit.run_for(2)


@scenario("M17", load=_MEDIUM)
async def restore_an_older_database(audit: Audit) -> None:
    """MongoDB comes back as it was 4 s ago, so that the changes shown to clients since then were never written."""
    audit.expected.required_resyncs |= {"token_unknown", "database_replaced", "history_lost"}
    stack, member = audit.stack, audit.stack.members[0]
    saved = stack.folder / "backup"
    await audit.writers.pause()
    await member.stop()
    await asyncio.to_thread(shutil.copytree, member.folder / "data", saved)
    await member.start()
    audit.writers.resume()
    await audit.run_for(4)
    await audit.writers.pause()
    await audit.run_for(1)
    await audit.witness.read()
    await member.stop()
    await asyncio.to_thread(shutil.rmtree, member.folder / "data")
    await asyncio.to_thread(shutil.copytree, saved, member.folder / "data")
    await member.start()
    audit.injected()
    await audit.witness.begin()
    audit.writers.forget()
    audit.writers.resume()
    await audit.expect_recovery("start of the restored database", within=LEASE + 3)
    await audit.run_for(2)


SCENARIOS = [
    replace_the_collection,
    drop_the_database,
    replace_the_database,
    restore_an_older_database,
]
