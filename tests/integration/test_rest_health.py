"""Health checks, as load balancers send them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from services.front.serving import few_connections
from services.gateway.http.health import Health
from services.internal.listener import internal_listener
from services.internal.readiness import Check, Checks
from tests.integration.rest_api import Client


def listening(host: str, checks: Checks) -> AbstractAsyncContextManager[int]:
    """Listen as a service does for its operators; give the port."""
    return internal_listener(host, 0, checks, CollectorRegistry(), few_connections(lambda _: None))


def says(answer: str) -> Check:
    async def check() -> str:
        return answer

    return check


async def hangs() -> str:
    await asyncio.Event().wait()
    return "ok"


async def breaks() -> str:
    raise KeyError("a secret")


@asynccontextmanager
async def health(**checks: Check) -> AsyncIterator[Client]:
    app = web.Application()
    app.add_routes(Health(Checks(checks, timeout=0.2)).routes())
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_a_process_whose_parts_are_all_there_is_ready() -> None:
    async with health(mongodb=says("ok"), redis=says("ok"), feed=says("ok")) as client:
        reply = await client.get("/readyz")
        assert (reply.status, await reply.json()) == (200, {"status": "ready"})
        assert reply.headers["Cache-Control"] == "no-store"


async def test_strangers_are_not_told_what_is_missing() -> None:
    async with health(mongodb=says("10.1.2.3:27017: connection refused"), redis=says("ok")) as client:
        reply = await client.get("/readyz")
        assert (reply.status, await reply.json()) == (503, {"status": "unready"})
        assert (await client.get("/healthz")).status == 200


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (says("behind by 5 s"), "behind by 5 s"),
        (hangs, "no answer within 0.2 s"),
        (breaks, "the check itself failed: KeyError"),
    ],
)
async def test_operators_are_told_which_part_is_missing(check: Check, said: str) -> None:
    checks = Checks({"mongodb": says("ok"), "redis": check}, timeout=0.2)
    async with (
        listening("127.0.0.1", checks) as port,
        aiohttp.ClientSession() as http,
    ):
        url = f"http://127.0.0.1:{port}"
        async with http.get(f"{url}/readyz") as reply:
            assert reply.status == 503
            assert await reply.json() == {"status": "unready", "checks": {"mongodb": "ok", "redis": said}}
        async with http.get(f"{url}/healthz") as reply:
            assert reply.status == 200


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/healthz", "/nothing"])
async def test_no_page_reaches_the_operators_port_by_dns_rebinding_nor_learns_versions(path: str) -> None:
    checks = Checks({"mongodb": says("ok")})
    async with (
        listening("127.0.0.1", checks) as port,
        aiohttp.ClientSession() as http,
    ):
        for host, refused in (("evil.example", True), (f"localhost:{port}", False)):
            async with http.get(f"http://127.0.0.1:{port}{path}", headers={"Host": host}) as reply:
                assert (reply.status == 421) == refused
                assert "Server" not in reply.headers


async def test_on_a_network_of_operators_any_name_will_do() -> None:
    checks = Checks({"mongodb": says("ok")})
    async with (
        listening("0.0.0.0", checks) as port,
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{port}/readyz", headers={"Host": "gateway:3002"}) as reply,
    ):
        assert reply.status == 200


async def test_checks_that_hang_share_one_deadline() -> None:
    async with asyncio.timeout(2), health(**{f"part{number}": hangs for number in range(20)}) as client:
        assert (await client.get("/readyz")).status == 503
