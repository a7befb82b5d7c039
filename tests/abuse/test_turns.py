"""Nothing that one request asks for holds the event loop for long."""

import asyncio

import pytest

from tests.abuse.attackers.expensive import CORPUS
from tests.abuse.product import longest_turn
from tests.abuse.scene import Scene

pytestmark = pytest.mark.asyncio(loop_scope="package")

SECONDS = 6.0
LONGEST = 0.02


async def test_no_expensive_request_holds_the_loop(scene: Scene) -> None:
    """It is the loop's own CPU time that counts, so that a busy machine decides nothing."""
    product = scene.product
    start = await product.figures()
    await asyncio.sleep(2)  # not for anything: so long is looked at what happens without an attacker
    quiet = await product.figures()
    _, complaints = await scene.attack(CORPUS, SECONDS)
    loud = await product.figures()
    assert not complaints, "\n".join(complaints)
    assert longest_turn(quiet, loud) <= max(LONGEST, longest_turn(start, quiet))
