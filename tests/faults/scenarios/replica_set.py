"""A replica set of three loses its primary in every way, and its majority."""

import asyncio
from contextlib import suppress
from typing import Any

from bson import ObjectId
from pymongo import AsyncMongoClient, WriteConcern
from pymongo.errors import PyMongoError

from services.embedded.mongod import Mongod
from services.embedded.replica_set import direct_client
from tests.faults.audit import Audit, Load
from tests.faults.network import PlacedMongod, PlacedService, network_missing
from tests.faults.order import stamped
from tests.faults.scenario import scenario
from tests.faults.stack import DATABASE, Shape

ELECTION = 2.0
LEASE = 5.0
_SET = Shape(members=3)
_NETWORK = Shape(members=3, network=True)
_LOAD = Load(500.0)


@scenario("M1", shape=_SET, load=_LOAD)
async def step_the_primary_down(audit: Audit) -> None:
    """The primary is told to step down, twice."""
    for _ in range(2):
        primary = await audit.stack.primary()
        with suppress(PyMongoError):  # it closes its connections
            async with direct_client(primary.host) as client:
                await client.admin.command("replSetStepDown", 10, secondaryCatchUpPeriodSecs=5)
        audit.injected()
        await _elected(audit, primary)
        await audit.expect_recovery("election", within=ELECTION)
        await audit.run_for(2)


@scenario("M2", shape=_SET, load=_LOAD)
async def kill_the_primary(audit: Audit) -> None:
    """SIGKILL of the primary, which later comes back."""
    for _ in range(2):
        primary = await audit.stack.primary()
        await primary.kill()
        audit.injected()
        await _elected(audit, primary)
        await audit.expect_recovery("election", within=ELECTION)
        await audit.run_for(1)
        await primary.start()
        await audit.run_for(2)


@scenario("M3", shape=_SET, load=_LOAD)
async def freeze_the_primary(audit: Audit) -> None:
    """SIGSTOP of the primary for 15 s: the others elect a new one, and the watcher leaves the silent one."""
    primary = await audit.stack.primary()
    primary.pause()
    audit.injected()
    await _elected(audit, primary)
    await audit.expect_recovery("election, the former primary frozen", within=ELECTION)
    await audit.run_for(6)
    primary.resume()
    await audit.expect_recovery("SIGCONT of the former primary", within=ELECTION)
    await audit.run_for(2)


@scenario("M4 M5", shape=_NETWORK, load=_LOAD, missing=network_missing)
async def isolate_the_primary(audit: Audit) -> None:
    """The firewall cuts the primary off the other members, while services still reach it; w:1 writes go to it, the
    network heals, and it rolls them back: no client is ever shown one."""
    network, primary = audit.stack.network, await audit.stack.primary()
    assert network is not None
    assert isinstance(primary, PlacedMongod)
    others = [member.host.split(":")[0] for member in audit.stack.members if member is not primary]
    await network.cut(primary.place, others)
    audit.injected()
    doomed = asyncio.create_task(_write_to_one(audit, primary))
    await _elected(audit, primary)
    await audit.expect_recovery("election, the former primary cut off", within=ELECTION)
    accepted = await doomed
    if not accepted:
        audit.report("the primary that was cut off took no w:1 write, so nothing was rolled back")
    await audit.run_for(6)
    await network.heal(primary.place)
    await audit.expect_recovery("the network heals", within=ELECTION)
    await audit.run_for(3)


@scenario("M6", shape=_SET, load=_LOAD)
async def lose_the_majority(audit: Audit) -> None:
    """Two of three members are frozen for 8 s: nothing can be committed, and nothing is shown."""
    primary = await audit.stack.primary()
    others = [member for member in audit.stack.members if member is not primary]
    for member in others:
        member.pause()
    audit.injected(2)
    await audit.run_for(8)
    for member in others:
        member.resume()
    await audit.expect_recovery("SIGCONT of both", within=10.0)
    await audit.run_for(2)


@scenario("M7", shape=_NETWORK, load=_LOAD, missing=network_missing)
async def cut_the_leading_watcher_off(audit: Audit) -> None:
    """The firewall cuts the leading watcher off everything, MongoDB and Redis, for 12 s: the other one takes over."""
    network, leader = audit.stack.network, await audit.stack.leader()
    assert network is not None
    assert isinstance(leader, PlacedService)
    everything = [network.address, *(place.address for place in network.places if place != leader.place)]
    await network.cut(leader.place, everything)
    audit.injected()
    await audit.expect_recovery("the line is cut", within=LEASE + 1)
    await audit.run_for(7)
    await network.heal(leader.place)
    await audit.expect_recovery("the line heals", within=2.0)
    await audit.run_for(2)


async def _elected(audit: Audit, former: Mongod) -> None:
    """Return when a member other than the former primary takes writes, and the set commits them.

    The second may take ten seconds more, until a secondary gives up reading from a primary that does not answer.
    """
    async with asyncio.timeout(30):
        while True:
            for member in audit.stack.members:
                if member is not former and member.running and await _commits(member):
                    return
            await asyncio.sleep(0.05)


async def _commits(member: Mongod) -> bool:
    """Tell whether a majority has the first write of this primary's term."""
    try:
        async with asyncio.timeout(0.5), direct_client(member.host) as client:
            hello = await client.admin.command("hello")
    except (PyMongoError, TimeoutError):
        return False
    last = hello["lastWrite"]
    return bool(hello["isWritablePrimary"] and last["majorityOpTime"]["t"] == last["opTime"]["t"])


async def _write_to_one(audit: Audit, member: Mongod) -> int:
    """Write to exactly this member with w:1 until it refuses; return how many writes it took."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        f"mongodb://{member.host}/?directConnection=true", serverSelectionTimeoutMS=1000, retryWrites=False
    )
    accepted = 0
    async with client:
        orders = client[DATABASE].get_collection("orders", write_concern=WriteConcern(1))
        with suppress(PyMongoError):
            while accepted < 200:
                stamp = audit.writers.ledger.next_stamp()  # its outcome stays unknown: the history decides
                await orders.insert_one(
                    {
                        "_id": ObjectId(),
                        "customer_name": "Customer 00",
                        "product_name": stamped(stamp),
                        "status": "pending",
                        "updated_at": None,
                    }
                )
                accepted += 1
                await asyncio.sleep(0.01)
    return accepted


SCENARIOS = [
    step_the_primary_down,
    kill_the_primary,
    freeze_the_primary,
    isolate_the_primary,
    lose_the_majority,
    cut_the_leading_watcher_off,
]
