"""Gateways are killed, frozen and replaced; their clients go elsewhere."""

from tests.faults.audit import Audit
from tests.faults.scenario import scenario


@scenario("G1")
async def kill_a_gateway(audit: Audit) -> None:
    """Kill -9 of a gateway: its clients go on at the others, exactly where they were."""
    for gateway in audit.stack.gateways[:2]:
        await gateway.kill()
        audit.injected()
        await audit.recovers("kill -9")
        await gateway.start()
        await audit.load(3)


SCENARIOS = [kill_a_gateway]
