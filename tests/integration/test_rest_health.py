"""Health checks, as load balancers send them."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from services.gateway.http.health import REST, STREAM, Health
from services.internal.listener import internal_listener
from services.internal.readiness import Check, Checks
from services.internal.serving import few_connections
from tests.integration.rest_api import Client

KINDS = {REST: ("mongodb", "gateway"), STREAM: ("redis", "room", "gateway")}


def listening(host: str, checks: Checks) -> AbstractAsyncContextManager[int]:
    """Listen as a service does for its operators; give the port."""
    return internal_listener(host, 0, checks, CollectorRegistry(), few_connections(lambda _: None))


def says(answer: str) -> Check:
    return lambda: answer


def checks_of(**wrong: str) -> Checks:
    names = {name for needed in KINDS.values() for name in needed}
    return Checks({name: says(wrong.get(name, "ok")) for name in names}, KINDS, harmless={"room"})


@asynccontextmanager
async def health(**wrong: str) -> AsyncIterator[Client]:
    app = web.Application()
    app.add_routes(Health(checks_of(**wrong)).routes())
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.mark.parametrize(
    ("wrong", "rest", "stream"),
    [
        ({}, 200, 200),
        ({"mongodb": "10.1.2.3:27017: connection refused"}, 503, 200),
        ({"redis": "10.1.2.3:6379: connection refused"}, 200, 503),
        ({"room": "full: 10000 clients"}, 200, 503),
        ({"gateway": "draining"}, 503, 503),
    ],
)
async def test_each_kind_of_request_depends_on_what_it_needs_and_strangers_are_not_told_why(
    wrong: dict[str, str], rest: int, stream: int
) -> None:
    words = {200: {"status": "ready"}, 503: {"status": "unready"}}
    async with health(**wrong) as client:
        for path, status in (("/readyz", rest), ("/readyz/stream", stream)):
            reply = await client.get(path)
            assert (path, reply.status, await reply.json()) == (path, status, words[status])
            assert reply.headers["Cache-Control"] == "no-store"
        assert (await client.get("/healthz")).status == 200


@pytest.mark.parametrize(
    ("wrong", "status", "rest", "stream"),
    [
        ({}, 200, "ready", "ready"),
        ({"mongodb": "refused"}, 503, "unready", "ready"),
        ({"redis": "behind by 5 s"}, 503, "ready", "unready"),
        ({"room": "full: 10000 clients"}, 200, "ready", "unready"),  # it works
        ({"gateway": "draining", "room": "full"}, 503, "unready", "unready"),
    ],
)
async def test_operators_are_told_what_is_missing_and_for_which_kind(
    wrong: dict[str, str], status: int, rest: str, stream: str
) -> None:
    async with listening("127.0.0.1", checks_of(**wrong)) as port, aiohttp.ClientSession() as http:
        url = f"http://127.0.0.1:{port}"
        async with http.get(f"{url}/readyz") as reply:
            assert reply.status == status
            assert await reply.json() == {
                "status": "ready" if status == 200 else "unready",
                "rest": rest,
                "stream": stream,
                "checks": {"mongodb": "ok", "redis": "ok", "gateway": "ok", **wrong},
            }
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
