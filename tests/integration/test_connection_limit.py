"""The places of a gateway are shared by all transports."""

import aiohttp

from tests.conftest import RunService
from tests.waiting import until


async def test_streams_and_sockets_share_the_places(run_service: RunService, mongodb_uri: str, redis_url: str) -> None:
    settings = {"MONGODB_URI": mongodb_uri, "REDIS_URL": redis_url, "MAX_CONNECTIONS": "1"}
    gateway = await run_service("gateway", settings, wait=False)
    await until(lambda: gateway.status("/healthz"), "the gateway answers")
    async with aiohttp.ClientSession(gateway.url) as session:
        async with session.get("/socket.io/?EIO=4&transport=polling") as opened:
            assert opened.status == 200
            sid = (await opened.text()).split('"sid":"')[1].split('"')[0]
        async with session.get("/api/orders/events") as refused:
            assert (refused.status, refused.content_type) == (503, "application/problem+json")
        async with session.post(f"/socket.io/?EIO=4&transport=polling&sid={sid}", data="1") as closed:
            assert closed.status == 200
        async with session.get("/socket.io/?EIO=4&transport=polling") as again:
            assert again.status == 200
