"""Hostile clients do their worst to the gateways, and no other client notices."""

import asyncio
from itertools import cycle, islice

import aiohttp

from tests.abuse.attackers import ATTACKERS
from tests.abuse.attackers.attacker import Attacker, Target
from tests.abuse.attacking import attack
from tests.faults.audit import Audit
from tests.faults.scenario import scenario
from tests.faults.stack import Shape

_AT_ONCE = 4
_SECONDS = 2.0


@scenario("S1", shape=Shape(settings={"LOG_MAX_EVENTS": "2000"}))
async def attack_the_gateways(audit: Audit) -> None:
    """A hostile client of each kind, four at a time, at any gateway: floods, bombs, upgrades out of turn, silence."""
    since = await _cursor(audit)
    await audit.run_for(5)  # Redis has trimmed that position by then
    hostile = audit.rng.sample(ATTACKERS, len(ATTACKERS))
    for first in range(0, len(hostile), _AT_ONCE):
        few = hostile[first : first + _AT_ONCE]
        gateways = islice(cycle(audit.stack.gateways), first, None)
        targets = [
            Target(gateway.port, audit.rng.choice(audit.stack.watchers).port, since)
            for _, gateway in zip(few, gateways, strict=False)
        ]
        await asyncio.gather(*(_attack(audit, each, target) for each, target in zip(few, targets, strict=True)))
    await audit.expect_recovery("the last attacker has left")
    await audit.run_for(2)


async def _attack(audit: Audit, attacker: Attacker, target: Target) -> None:
    tally = await attack(attacker, target, _SECONDS)
    audit.injected()
    if tally["HTTP 500"]:
        audit.report(f"{attacker.name}: {tally['HTTP 500']} requests were answered with an error of the server's own")


async def _cursor(audit: Audit) -> str:
    address = f"{audit.stack.gateways[0].url}/api/orders?limit=1"
    async with aiohttp.ClientSession() as session, session.get(address) as response:
        return response.headers["Stream-Cursor"]


SCENARIOS = [attack_the_gateways]
