"""The start of a gateway: nobody is told that it is ready before clients can reach it."""

import asyncio
import socket
from collections.abc import Callable

import aiohttp
import pytest

from services.commands.setup_db import setup
from services.common.tasks import Tasks
from services.front.listeners import listening_sockets
from services.gateway import app as gateway_app
from services.gateway.settings import GatewaySettings
from tests.conftest import RunService
from tests.waiting import until


async def test_a_gateway_is_not_ready_before_it_can_be_reached(
    monkeypatch: pytest.MonkeyPatch,
    run_service: RunService,
    mongodb_uri: str,
    redis_url: str,
    free_port: Callable[[], int],
) -> None:
    """Looking up the addresses of HOST takes a while; those who wait for `/readyz` would then be refused."""
    port, admin_port = free_port(), free_port()
    found = asyncio.Event()

    async def slowly(hosts: str, number: int) -> list[socket.socket]:
        if number == port:
            await found.wait()
        return await listening_sockets(hosts, number)

    monkeypatch.setattr("services.front.front.listening_sockets", slowly)
    monkeypatch.setattr(gateway_app, "tune_gc", lambda: None)
    await asyncio.to_thread(lambda: list(setup(mongodb_uri)))
    await run_service("watcher", {"MONGODB_URI": mongodb_uri, "REDIS_URL": redis_url})
    settings = GatewaySettings(
        mongodb_uri=mongodb_uri, redis_url=redis_url, port=port, admin_port=admin_port, drain_seconds=0
    )
    async with aiohttp.ClientSession() as http, Tasks() as tasks:
        tasks.keep("gateway", gateway_app.run(settings))

        async def missing() -> dict[str, str]:
            try:
                async with http.get(f"http://127.0.0.1:{admin_port}/readyz") as response:
                    checks = (await response.json())["checks"]
            except aiohttp.ClientConnectorError:
                return {"port": "closed"}
            return {name: state for name, state in checks.items() if state != "ok"}

        async def lacks(*what: dict[str, str]) -> bool:
            return await missing() in what

        await until(lambda: lacks({"gateway": "starting"}, {}), "all but the gateway's own port is there")
        assert await missing() == {"gateway": "starting"}
        found.set()
        await until(lambda: lacks({}), "it is ready")
        async with http.get(f"http://127.0.0.1:{port}/readyz") as response:
            assert response.status == 200
