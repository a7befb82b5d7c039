"""All attackers: what a stranger may try, each by itself."""

from tests.abuse.attackers import (
    bodies,
    dear,
    elsewhere,
    expensive,
    filters,
    floods,
    frames,
    heads,
    ids,
    malformed,
    silent,
    since,
    unread,
    upgrades,
)
from tests.abuse.attackers.attacker import Attacker

ATTACKERS: list[Attacker] = [
    *frames.ATTACKERS,
    *bodies.ATTACKERS,
    *heads.ATTACKERS,
    *ids.ATTACKERS,
    *since.ATTACKERS,
    *silent.ATTACKERS,
    *upgrades.ATTACKERS,
    *filters.ATTACKERS,
    *unread.ATTACKERS,
    *floods.ATTACKERS,
    *dear.ATTACKERS,
    *malformed.ATTACKERS,
    *elsewhere.ATTACKERS,
]
EVERY: dict[str, Attacker] = {each.name: each for each in [*ATTACKERS, upgrades.FUZZER, expensive.CORPUS]}
