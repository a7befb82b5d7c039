"""What clients have done before does not decide whether the gateway outlives the end of an epoch."""

import asyncio
from pathlib import Path

from tests.abuse.attackers import frames, upgrades
from tests.abuse.bystander import bystander
from tests.abuse.product import product
from tests.waiting import until


async def test_the_gateway_tells_of_a_new_epoch_after_upgrades_out_of_turn(
    mongodb_uri: str, redis_url: str, tmp_path: Path
) -> None:
    async with product(mongodb_uri, redis_url, tmp_path) as running:
        pid = running.gateway.pid
        hostile = [*upgrades.ATTACKERS, upgrades.FUZZER, frames.frames_after_leaving]
        async with bystander(running.orders, running.gateway.url) as somebody:
            await asyncio.gather(*(running.attack(each, 3.0) for each in hostile))
            assert [ear.wrong for ear in somebody.ears] == [[], []]
            await running.orders.drop()
            await until(lambda: all(ear.wrong for ear in somebody.ears), "the new epoch is told")
            assert running.gateway.running, running.gateway.exit_reason()
            assert [ear.wrong[0].partition(":")[0] for ear in somebody.ears] == [
                "a websocket was told resync",
                "a stream was told resync",
            ]
        async with bystander(running.orders, running.gateway.url) as somebody:
            somebody.begin()
            await asyncio.sleep(0.5)  # a few orders of the new epoch
            assert await somebody.complaints(15.0) == []
        assert running.gateway.running
        assert running.gateway.pid == pid
