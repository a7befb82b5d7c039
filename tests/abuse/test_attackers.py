"""One hostile client of each kind, one after the other: none of them hurts anybody but itself."""

import pytest

from tests.abuse.attackers import ATTACKERS
from tests.abuse.attackers.attacker import Attacker
from tests.abuse.scene import Scene

pytestmark = pytest.mark.asyncio(loop_scope="package")

SECONDS = 1.2


@pytest.mark.parametrize("attacker", ATTACKERS, ids=lambda attacker: attacker.name)
async def test_an_attacker_hurts_itself_only(attacker: Attacker, scene: Scene) -> None:
    tally, complaints = await scene.attack(attacker, SECONDS)
    assert not complaints, "\n".join([attacker.about, *complaints, f"what became of it: {dict(tally)}"])


async def test_every_attacker_has_a_name_of_its_own_and_says_what_it_does() -> None:
    assert len({attacker.name for attacker in ATTACKERS}) == len(ATTACKERS)
    assert all(attacker.about for attacker in ATTACKERS)
