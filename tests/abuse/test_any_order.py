"""Whatever a client does with polls, probes, upgrades, posts and fragments, and in any order: it is alone with it."""

import os
import secrets

import pytest

from tests.abuse.attackers.upgrades import FUZZER
from tests.abuse.scene import Scene

pytestmark = pytest.mark.asyncio(loop_scope="package")

SECONDS = 12.0


async def test_any_order_of_polls_probes_upgrades_posts_and_fragments_does_no_harm(scene: Scene) -> None:
    """ABUSE_SEED repeats a run, as far as the order in which the network delivers can be repeated."""
    seed = int(os.environ.get("ABUSE_SEED") or secrets.randbelow(10**6))
    tally, complaints = await scene.attack(FUZZER, SECONDS, seed)
    assert not complaints, "\n".join([f"seed {seed}", *complaints, f"{dict(tally)}"])
    assert tally["steps"] > 100
