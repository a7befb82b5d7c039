"""The machine itself fails: the clock jumps, the disk is full, the network delivers in pieces."""

import asyncio

from tests.faults.audit import QUICK, Audit, Load
from tests.faults.clock import ClockedMongod, clock_missing
from tests.faults.scenario import scenario
from tests.faults.small_disk import fill, mounts_missing
from tests.faults.stack import Shape

LEASE = 5.0
HOUR = 3600


@scenario("M15", shape=Shape(clock=True), missing=clock_missing)
async def let_the_clock_of_mongodb_jump(audit: Audit) -> None:
    """MongoDB's clock jumps an hour forward, two hours back, and to the right time: positions keep rising."""
    member = audit.stack.members[0]
    assert isinstance(member, ClockedMongod)
    for shift in (HOUR, -HOUR, 0):
        member.shift(shift)
        audit.injected()
        await audit.expect_recovery(f"clock at {shift:+d} s", within=LEASE + 1)
        await audit.run_for(4)


@scenario("M16", shape=Shape(mongod_disk=420), missing=mounts_missing)
async def fill_the_disk_of_mongodb(audit: Audit) -> None:
    """MongoDB's disk is full: it dies, and comes back when there is space; acknowledged writes are there."""
    member = audit.stack.members[0]
    ballast = await asyncio.to_thread(fill, member.folder)
    audit.injected()
    try:
        async with asyncio.timeout(20):
            await member.wait()
    except TimeoutError:
        await member.kill()  # it hangs rather than dies: for its clients there is no difference
    await asyncio.to_thread(ballast.unlink)
    await member.start()
    await audit.expect_recovery("start with room on the disk", within=LEASE + 4)
    await audit.run_for(2)


@scenario("G9", shape=Shape(chop=1000), load=QUICK)
async def chop_the_network_to_pieces(audit: Audit) -> None:
    """A quarter of the clients gets its bytes in pieces of 1 to 1000, with delays in between, cut at any place."""
    for gateway in audit.stack.gateways[:2]:
        await audit.run_for(4)
        await gateway.kill()
        audit.injected()
        await audit.expect_recovery("kill -9 of a gateway")
        await gateway.start()
    await audit.run_for(3)


@scenario("–", load=Load(700.0))
async def break_nothing(audit: Audit) -> None:
    """Nothing is broken, and more is written than in the others: it tests the auditor itself."""
    await audit.run_for(8)
    await audit.expect_recovery("nothing", within=1.0)


SCENARIOS = [break_nothing, let_the_clock_of_mongodb_jump, fill_the_disk_of_mongodb, chop_the_network_to_pieces]
