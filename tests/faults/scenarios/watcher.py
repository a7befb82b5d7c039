"""The watchers are killed, stopped, frozen, misled by a damaged checkpoint."""

import asyncio
from collections.abc import Callable
from typing import Any

from bson import ObjectId
from pymongo import AsyncMongoClient

from tests.faults.audit import QUICK, Audit, Load
from tests.faults.crowd import Population
from tests.faults.scenario import scenario
from tests.faults.stack import Shape

LEASE = 5.0
_SHORT_LEASE = Shape(settings={"LEASE_SECONDS": "1"})


@scenario("W1")
async def kill_the_leading_watcher(audit: Audit) -> None:
    """SIGKILL of the leading watcher; the other one takes over within the lease."""
    leader = await audit.stack.leader()
    await leader.kill()
    audit.injected()
    await audit.expect_recovery("kill -9", within=LEASE + 1)
    await leader.start()
    await audit.run_for(2)


@scenario("W1", shape=_SHORT_LEASE)
async def kill_watchers_at_random_moments(audit: Audit) -> None:
    """SIGKILL of the leader ten times at random moments, so that some hit between publishing and saving."""
    for _ in range(10):
        await audit.run_for(audit.rng.uniform(0.2, 1.5))
        leader = await audit.stack.leader()
        await leader.kill()
        audit.injected()
        await audit.expect_recovery("kill -9", within=2.5)
        await leader.start()


@scenario("W5")
async def stop_the_leading_watcher(audit: Audit) -> None:
    """SIGTERM of the leader, twice: it releases its lease, and the other one leads at once."""
    for _ in range(2):
        leader = await audit.stack.leader()
        stopping = asyncio.create_task(leader.stop())
        audit.injected()
        await audit.expect_recovery("SIGTERM", within=2.0)
        await stopping
        await leader.start()
        await audit.run_for(2)


@scenario("W2 W3 M7")
async def freeze_the_leader_past_its_lease(audit: Audit) -> None:
    """SIGSTOP of the leader, takeover, SIGCONT: it finds itself fenced and does no harm, in the middle of its batch."""
    for _ in range(2):
        leader = await audit.stack.leader()
        leader.pause()
        audit.injected()
        await audit.expect_recovery("SIGSTOP", within=LEASE + 1)
        await audit.run_for(1)
        leader.resume()
        await audit.expect_recovery("SIGCONT of the former leader", within=2.0)
        await audit.run_for(2)


@scenario("W6")
async def freeze_the_leader_again_and_again(audit: Audit) -> None:
    """SIGSTOP for up to 3 s, five times: shorter than the lease, but close to the point where it is given up."""
    for _ in range(5):
        leader = await audit.stack.leader()
        leader.pause()
        audit.injected()
        await audit.run_for(audit.rng.uniform(1.0, 3.5))
        leader.resume()
        await audit.expect_recovery("SIGCONT", within=LEASE + 1)


@scenario("W1")
async def run_without_a_watcher_for_a_while(audit: Audit) -> None:
    """Both watchers are killed; changes written meanwhile arrive when they are back."""
    await asyncio.gather(*(watcher.kill() for watcher in audit.stack.watchers))
    audit.injected(2)
    await audit.run_for(6)
    await asyncio.gather(*(watcher.start() for watcher in audit.stack.watchers))
    await audit.expect_recovery("start", within=LEASE + 1)
    await audit.run_for(2)


@scenario("W4", shape=Shape(watchers=8), load=Load(200.0, QUICK.clients))
async def start_many_watchers_at_once(audit: Audit) -> None:
    """Eight watchers contend for the lease, are all frozen past it, and contend again: one leads at any time."""
    for _ in range(2):
        for watcher in audit.stack.watchers:
            watcher.pause()
        audit.injected(8)
        await audit.run_for(LEASE + 1)
        for watcher in audit.stack.watchers:
            watcher.resume()
        await audit.expect_recovery("SIGCONT of all", within=LEASE + 1)
        leaders = await audit.stack.leaders()
        if len(leaders) != 1:
            audit.report(f"{len(leaders)} watchers lead at once")


@scenario("W7 W8", load=Load(300.0, Population(60, 40, 6, 4)))
async def damage_the_checkpoint(audit: Audit) -> None:
    """The checkpoint is truncated, in the future, of another set, of another pipeline: a new epoch, no loop."""
    damages: list[Callable[[dict[str, Any]], dict[str, Any]]] = [
        lambda saved: {"resume_token": saved["resume_token"][:21], "position": _far(saved["position"], 0)},
        lambda saved: {"position": _far(saved["position"], 3600)},
        lambda _: {"replica_set_id": str(ObjectId())},
        lambda _: {"pipeline": "0123456789abcdef"},
        lambda _: {"epoch": 17},
    ]
    audit.expected.required_resyncs |= {"token_unknown", "database_replaced", "pipeline_changed", "state_lost"}
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(audit.stack.mongodb_uri)
    async with client:
        state = client.get_default_database()["stream_state"]
        for damage in damages:
            # Without writes, so that the checkpoint is the newest position and the only one to go by.
            await audit.writers.pause()
            await audit.run_for(1.5)
            await asyncio.gather(*(watcher.stop() for watcher in audit.stack.watchers))
            saved = await state.find_one({"_id": "orders"})
            assert saved is not None
            await state.update_one({"_id": "orders"}, {"$set": damage(saved)})
            audit.injected()
            await asyncio.gather(*(watcher.start() for watcher in audit.stack.watchers))
            audit.writers.resume()
            await audit.expect_recovery("start with a damaged checkpoint", within=LEASE + 1)


def _far(position: str, seconds: int) -> str:
    ts, n = position.split("-")
    return f"{int(ts) + (seconds << 32)}-{n}"


SCENARIOS = [
    kill_the_leading_watcher,
    kill_watchers_at_random_moments,
    stop_the_leading_watcher,
    freeze_the_leader_past_its_lease,
    freeze_the_leader_again_and_again,
    run_without_a_watcher_for_a_while,
    start_many_watchers_at_once,
    damage_the_checkpoint,
]
