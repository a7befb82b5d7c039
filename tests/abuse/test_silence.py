"""Connections that say nothing, or never finish what they say, are cut by the gateway and by the watcher."""

import asyncio
from collections import Counter

import pytest

from tests.abuse.attackers.silent import BODIES, HEADS, still_open
from tests.abuse.scene import Scene
from tests.waiting import HANGS, patient_clock

pytestmark = pytest.mark.asyncio(loop_scope="package")

HEAD_SECONDS = 10.0
BODY_SECONDS = 30.0
ALLOWANCE = 5.0


async def test_requests_that_never_come_whole_are_cut(scene: Scene) -> None:
    target = scene.product.target
    ports = {"gateway": target.port, "watcher": target.watcher_port}
    kinds = [(beginning, HEAD_SECONDS) for beginning in HEADS] + [(beginning, BODY_SECONDS) for beginning in BODIES]
    async with patient_clock() as clock:
        began = clock()

        async def stays_open(port: int, beginning: bytes, seconds: float) -> bool:
            is_open = await still_open(target, Counter(), port, beginning, within=seconds + HANGS)
            return is_open or clock() - began > seconds + ALLOWANCE

        waits = [
            (name, beginning, stays_open(port, beginning, seconds))
            for name, port in ports.items()
            for beginning, seconds in kinds
        ]
        found = await asyncio.gather(*(wait for _, _, wait in waits))
    left = [(name, beginning) for (name, beginning, _), is_open in zip(waits, found, strict=True) if is_open]
    assert not left
    scene.intact = True
