"""A collection named `orders` of a kind that cannot be served: reported at the start, by readiness and by REST."""

import asyncio
import json
from functools import partial
from typing import Any

import aiohttp
import pytest
from pymongo import AsyncMongoClient

from services.commands.setup_db import SetupError, setup
from tests.conftest import RunService
from tests.integration.rest_api import JOHN
from tests.service_process import ServiceProcess
from tests.waiting import until

KINDS: dict[str, dict[str, Any]] = {
    "capped": {"capped": True, "size": 100_000},
    "a view": {"viewOn": "others", "pipeline": []},
    "a time series": {"timeseries": {"timeField": "updated_at"}},
}


async def make(uri: str, kind: str) -> None:
    async with AsyncMongoClient[dict[str, Any]](uri) as client:
        database = client.get_default_database()
        await database.drop_collection("orders")
        await database.create_collection("orders", **KINDS[kind])


async def mend(uri: str) -> None:
    async with AsyncMongoClient[dict[str, Any]](uri) as client:
        await client.get_default_database().drop_collection("orders")
        await client.get_default_database().create_collection("orders")


def says(service: ServiceProcess, text: str) -> bool:
    return text in service.output


async def collection_check(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/readyz") as reply:
        said: str = (await reply.json())["checks"]["collection"]
        assert (reply.status == 200) == (said == "ok") or reply.status == 503
        return said


@pytest.mark.parametrize("kind", KINDS)
async def test_the_set_up_refuses_a_collection_that_cannot_be_served(mongodb_uri: str, kind: str) -> None:
    await make(mongodb_uri, kind)
    with pytest.raises(SetupError, match=f"The collection orders is {kind}.*rename it"):
        await asyncio.to_thread(lambda: list(setup(mongodb_uri)))


@pytest.mark.parametrize("kind", KINDS)
async def test_both_services_name_the_problem_and_go_on_when_it_is_fixed(
    mongodb_uri: str, redis_url: str, run_service: RunService, kind: str
) -> None:
    await asyncio.to_thread(lambda: list(setup(mongodb_uri)))
    await make(mongodb_uri, kind)
    settings = {"MONGODB_URI": mongodb_uri, "REDIS_URL": redis_url}
    watcher = await run_service("watcher", settings, wait=False)
    gateway = await run_service("gateway", settings, wait=False)
    for service in (watcher, gateway):
        await until(partial(says, service, "The orders cannot be served"), "the line at the start")
        await until(partial(service.status, "/healthz", service.admin_url), "the operators' port is open")
        assert f"The collection orders is {kind}" in await collection_check(service.admin_url)
        assert await service.status("/readyz") == 503
        assert service.output.count("The orders cannot be served") == 1

    async with aiohttp.ClientSession() as session:
        written = await session.put(f"{gateway.url}/api/orders/{'0' * 24}", json={"status": "shipped"})
        listed = await session.get(f"{gateway.url}/api/orders")
        assert [written.status, listed.status] == {
            "capped": [404, 503],  # it takes writes, and they are announced
            "a view": [503, 200],
            "a time series": [503, 200],
        }[kind]
        refused = listed if kind == "capped" else written
        problem = json.loads(await refused.read())
        assert problem["type"] == "urn:realtime-orders:problem:collection-unfit"
        assert refused.headers["Retry-After"] == "30"
        assert f"The collection orders is {kind}" in problem["detail"]
        assert '"level":"warning","event":"MongoDB does not answer' not in gateway.output

        await mend(mongodb_uri)
        for service in (watcher, gateway):
            await service.ready()
            assert "The orders can be served again" in service.output
        assert (await session.post(f"{gateway.url}/api/orders", json=JOHN)).status == 201
