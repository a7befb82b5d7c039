"""Health, as load balancers ask for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from services.gateway.http.health import Check, Health
from tests.integration.rest_api import Client


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
    app.add_routes(Health(checks, timeout=0.2).routes())
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_a_process_whose_parts_are_all_there_is_ready() -> None:
    async with health(mongodb=says("ok"), redis=says("ok"), feed=says("ok")) as client:
        reply = await client.get("/readyz")
        assert reply.status == 200
        assert await reply.json() == {"status": "ready", "checks": {"mongodb": "ok", "redis": "ok", "feed": "ok"}}
        assert reply.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (says("behind by 5 s"), "behind by 5 s"),
        (hangs, "no answer within 0.2 s"),
        (breaks, "the check itself failed: KeyError"),
    ],
)
async def test_a_part_that_is_missing_is_named_and_the_process_lives(check: Check, said: str) -> None:
    async with health(mongodb=says("ok"), redis=check) as client:
        reply = await client.get("/readyz")
        assert reply.status == 503
        assert await reply.json() == {"status": "unready", "checks": {"mongodb": "ok", "redis": said}}
        assert (await client.get("/healthz")).status == 200


async def test_checks_that_hang_share_one_deadline() -> None:
    async with asyncio.timeout(2), health(**{f"part{number}": hangs for number in range(20)}) as client:
        assert (await client.get("/readyz")).status == 503
