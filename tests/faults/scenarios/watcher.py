"""The watchers are killed, stopped and frozen."""

from tests.faults.audit import Audit
from tests.faults.scenario import scenario

LEASE = 5.0


@scenario("W1 W5")
async def kill_the_leading_watcher(audit: Audit) -> None:
    """Kill -9 of the watcher that leads; the other one takes over within the lease."""
    leader = await audit.stack.leader()
    await leader.kill()
    audit.injected()
    await audit.recovers("kill -9", within=LEASE + 1)
    await leader.start()
    await audit.load(2)


SCENARIOS = [kill_the_leading_watcher]
