"""A page of a stranger's gets nothing and does nothing through the browser of somebody who is let in."""

from collections import Counter

import pytest

from tests.abuse.attackers.elsewhere import FORGED
from tests.abuse.attackers.wire import request, upgrade_request, wire
from tests.abuse.scene import Scene

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def _status(scene: Scene, data: bytes) -> int:
    async with wire(scene.product.target, Counter()) as connection:
        await connection.send(data)
        return int((await connection.head())[9:12])


async def test_requests_for_another_host_or_from_another_site_are_refused(scene: Scene) -> None:
    answers = [(each.what, await _status(scene, each.data)) for each in FORGED]
    allowed = [each.answers for each in FORGED]
    assert [one for one, fine in zip(answers, allowed, strict=True) if one[1] not in fine] == []
    scene.intact = True


async def test_requests_by_any_name_of_this_machine_are_served(scene: Scene) -> None:
    port = scene.product.gateway.port
    for host in ("localhost", f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}"):
        fields = {"Host": host, "Origin": f"http://{host}"}
        assert await _status(scene, request("GET", "/api/orders", headers=fields)) == 200, host
        assert await _status(scene, upgrade_request(headers=fields)) == 101, host
    scene.intact = True
