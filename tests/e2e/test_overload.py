"""MongoDB is frozen, away or asked for too much: every request is answered in time, with 503 and when to come back."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, NamedTuple

import aiohttp
import pytest
from pymongo import AsyncMongoClient

from services.commands.setup_db import setup
from services.embedded.mongod import Mongod
from services.gateway.http.lists import LISTS_AT_ONCE
from tests.conftest import OwnMongod, OwnValkey, RunService
from tests.integration.test_store_faults import freeze
from tests.service_process import ServiceProcess
from tests.waiting import cancel_all, until

JOHN = {"customer_name": "John Doe", "product_name": "Laptop", "status": "pending"}
PROMISED = 3.0  # seconds until the first byte
PROBLEM = "urn:realtime-orders:problem:"
READING = {"overloaded", "store-unavailable", "store-too-slow"}
WRITING = {*READING, "outcome-unknown"}


class Reply(NamedTuple):
    """What came, after how many seconds."""

    seconds: float
    status: int
    retry_after: str | None
    kind: str


class Scene(NamedTuple):
    """The product with a MongoDB of its own, and clients from two addresses."""

    mongod: Mongod
    gateway: ServiceProcess
    order: str
    one: aiohttp.ClientSession
    other: aiohttp.ClientSession


def client_from(address: str, url: str) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(local_addr=(address, 0), limit=0)
    return aiohttp.ClientSession(url, connector=connector, timeout=aiohttp.ClientTimeout(total=30))


@asynccontextmanager
async def scene(
    own_mongod: OwnMongod, own_valkey: OwnValkey, run_service: RunService, **settings: str
) -> AsyncIterator[Scene]:
    mongod, valkey = await own_mongod("--setParameter", "enableTestCommands=1"), await own_valkey()
    await asyncio.to_thread(lambda: list(setup(mongod.uri("orders"))))
    environment = {"MONGODB_URI": mongod.uri("orders"), "REDIS_URL": valkey.uri(), "LOG_FORMAT": "console", **settings}
    await run_service("watcher", environment)
    gateway = await run_service("gateway", environment)
    async with client_from("127.0.0.1", gateway.url) as one, client_from("127.0.0.2", gateway.url) as other:
        async with one.post("/api/orders", json=JOHN) as made:
            order = (await made.json())["_id"]
        yield Scene(mongod, gateway, order, one, other)


async def ask(client: aiohttp.ClientSession, method: str, path: str, **options: Any) -> Reply:
    """Send a request; a stream is left at its first byte."""
    began = monotonic()
    async with client.request(method, path, **options) as reply:
        seconds = monotonic() - began
        kind = ""
        if reply.status >= 400 and method != "HEAD":
            problem = json.loads(await reply.text())
            assert reply.content_type == "application/problem+json"
            kind = problem["type"].removeprefix(PROBLEM)
        return Reply(seconds, reply.status, reply.headers.get("Retry-After"), kind)


def every_request(order: str) -> list[tuple[str, str, dict[str, Any]]]:
    one = f"/api/orders/{order}"
    batch = {"operations": [{"operation": "INSERT", "order": JOHN}] * 3}
    return [
        ("GET", one, {}),
        ("HEAD", one, {}),
        ("GET", "/api/orders", {}),
        ("GET", "/api/orders?sort=customer_name&limit=200&count=true", {}),
        ("GET", "/api/orders", {"headers": {"Accept": "text/csv"}}),
        ("GET", "/api/orders", {"headers": {"Accept": "application/x-ndjson"}}),
        ("GET", f"{one}/history", {}),
        ("POST", "/api/orders", {"json": JOHN}),
        ("POST", "/api/orders", {"json": JOHN, "headers": {"Idempotency-Key": "a"}}),
        ("PUT", one, {"json": {"status": "shipped"}}),
        ("PATCH", one, {"json": {"status": "shipped"}, "headers": {"If-Match": "*"}}),
        ("DELETE", one, {"headers": {"If-Match": '"x"'}}),
        ("DELETE", f"/api/orders/{'a' * 24}", {}),
        ("POST", "/api/orders:batch", {"json": batch}),
        ("POST", "/api/orders:batch", {"json": batch, "headers": {"Idempotency-Key": "b"}}),
    ]


async def lateness(client: aiohttp.ClientSession) -> float:
    """Return how long a request took that asks for nothing; that is the machine's, whoever else makes it busy."""
    return (await ask(client, "GET", "/healthz")).seconds


async def all_are_answered(here: Scene, times: int) -> None:
    """Send each request so many times, all at once: most wait for a place, or for another of its own address."""
    asked = every_request(here.order) * times
    sent = asyncio.gather(*(ask(here.one, method, path, **options) for method, path, options in asked))
    late = 0.0
    while not sent.done():
        late = max(late, await lateness(here.other))
        await asyncio.sleep(0.02)
    answers = await sent
    for (method, path, _), reply in zip(asked, answers, strict=True):
        if reply.status == 429:  # exports, of which there may be two
            continue
        assert (reply.status, reply.retry_after in ("1", "2")) == (503, True), (method, path, reply)
        assert reply.seconds < PROMISED + late, (method, path, reply, late)
        kinds = {""} if method == "HEAD" else READING if method == "GET" else WRITING
        assert reply.kind in kinds, (method, path, reply)


@pytest.mark.parametrize("how", ["frozen", "away"])
async def test_while_mongodb_does_not_answer_every_request_gets_503_within_three_seconds(
    own_mongod: OwnMongod, own_valkey: OwnValkey, run_service: RunService, how: str
) -> None:
    async with scene(own_mongod, own_valkey, run_service, MAX_MONGODB_REQUESTS="16") as here:
        if how == "frozen":
            freeze(here.mongod)
        else:
            await here.mongod.kill()
        try:
            await all_are_answered(here, 1)
            await all_are_answered(here, 5)
            async with here.one.get("/api/orders", headers={"Accept": "text/event-stream"}) as stream:
                began = monotonic()
                assert stream.status == 200
                assert await _until_event(stream, b"connected")
                assert b"store_unavailable" in await _until_event(stream, b"status")
                assert monotonic() - began < PROMISED + await lateness(here.other)
            for path in ("/healthz", "/", "/api/openapi.json"):
                assert await here.gateway.status(path) == 200
        finally:
            if how == "frozen":
                here.mongod.resume()
            else:
                await here.mongod.start()

        async def works() -> bool:
            return (await ask(here.one, "GET", f"/api/orders/{here.order}")).status == 200

        await until(works, "orders can be read again")
        assert "Traceback" not in here.gateway.output


async def _until_event(stream: aiohttp.ClientResponse, name: bytes) -> bytes:
    while True:
        event = await stream.content.readuntil(b"\n\n")
        if b"event: " + name in event:
            return event


async def test_a_flood_from_one_address_turns_nobody_else_away_and_is_told_so_at_once(
    own_mongod: OwnMongod, own_valkey: OwnValkey, run_service: RunService
) -> None:
    async with scene(own_mongod, own_valkey, run_service, MAX_MONGODB_REQUESTS="4") as here:
        await slow(here.mongod, "insert", 100)
        flood = [asyncio.create_task(ask(here.one, "POST", "/api/orders", json=JOHN)) for _ in range(200)]
        await until(lambda: any(task.done() for task in flood), "the flood is there")
        answers = []
        while not all(task.done() for task in flood):
            answers.append(await ask(here.other, "POST", "/api/orders", json=JOHN))
        statuses = Counter(task.result().status for task in flood)
        assert statuses.keys() == {201, 503}
        assert {task.result().kind for task in flood if task.result().status == 503} == {"overloaded"}
        assert answers
        assert {reply.status for reply in answers} == {201}
        refused = await here.gateway.metric('orders_gateway_incidents_total{kind="overloaded"}')
        assert refused == statuses[503]
        assert await here.gateway.metric("orders_gateway_mongodb_requests_limit") == 4
        assert here.gateway.output.count("Overloaded: requests are refused") == 1
        # None of those that were refused was done.
        listed = await here.one.get("/api/orders?count=true")
        assert int(listed.headers["Total-Count"]) == 1 + statuses[201] + len(answers)


async def test_lists_that_would_wait_long_for_others_of_their_address_are_refused_soon(
    own_mongod: OwnMongod, own_valkey: OwnValkey, run_service: RunService
) -> None:
    async with scene(own_mongod, own_valkey, run_service) as here:
        await slow(here.mongod, "find", 1000)
        lists = (ask(here.one, "GET", f"/api/orders?limit={number}") for number in range(1, 31))
        kinds = Counter(reply.kind for reply in await asyncio.gather(*lists))
        assert kinds.keys() == {"", "overloaded"}
        # Those that were let in at first. Four more would have been let in after a second, and after two.
        assert kinds[""] < 2 * LISTS_AT_ONCE


async def test_one_address_that_asks_for_the_past_of_orders_leaves_a_reader_to_the_others(
    own_mongod: OwnMongod, own_valkey: OwnValkey, run_service: RunService
) -> None:
    async with scene(own_mongod, own_valkey, run_service) as here:
        path = f"/api/orders/{here.order}/history"
        assert (await ask(here.other, "GET", path)).status == 200
        await slow(here.mongod, "aggregate", 500)

        async def done_before_the_other() -> int:
            flood = [asyncio.create_task(ask(here.one, "GET", path)) for _ in range(4)]
            await asyncio.sleep(0.1)  # for less than the first of them takes
            assert (await ask(here.other, "GET", path)).status == 200
            done = sum(task.done() for task in flood)
            await asyncio.gather(*flood)
            return done

        for _ in range(5):  # again where the machine stood still for half a second
            if await done_before_the_other() <= 1:
                return
        pytest.fail("the other had to wait for two of the one's")


async def test_requests_for_the_past_that_have_left_have_cost_mongodb_nothing(
    own_mongod: OwnMongod, own_valkey: OwnValkey, run_service: RunService
) -> None:
    async with scene(own_mongod, own_valkey, run_service) as here:
        path = f"/api/orders/{here.order}/history"
        await slow(here.mongod, "aggregate", 1000)
        first = asyncio.create_task(ask(here.one, "GET", path))
        await asyncio.sleep(0.3)  # for less than it takes
        async with AsyncMongoClient[dict[str, Any]](here.mongod.uri()) as client:
            before = await finds(client)
            leavers = [asyncio.create_task(ask(here.one, "GET", path)) for _ in range(30)]
            await asyncio.sleep(0.3)
            for each in leavers:
                await cancel_all(each)
            assert (await first).status == 200
            # Each would have looked for the order; the first may have done so late.
            assert await finds(client) - before < len(leavers) // 2


async def finds(client: AsyncMongoClient[dict[str, Any]]) -> int:
    count: int = (await client.admin.command("serverStatus"))["opcounters"]["query"]
    return count


async def slow(mongod: Mongod, command: str, milliseconds: int) -> None:
    data = {"failCommands": [command], "blockConnection": True, "blockTimeMS": milliseconds}
    async with AsyncMongoClient[dict[str, Any]](mongod.uri()) as client:
        await client.admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data})


async def test_in_debug_an_answer_tells_where_its_time_went(
    own_mongod: OwnMongod, own_valkey: OwnValkey, run_service: RunService
) -> None:
    async with scene(own_mongod, own_valkey, run_service, LOG_LEVEL="DEBUG") as here:
        for path, accept in (("/api/orders", "*/*"), (f"/api/orders/{here.order}", "*/*"), ("/api/orders", "text/csv")):
            async with here.one.get(path, headers={"Accept": accept}) as reply:
                parts = [part.split(";dur=") for part in reply.headers["Server-Timing"].split(", ")]
            assert [name for name, _ in parts] == ["wait", "db", "total"]
            wait, db, total = (float(milliseconds) for _, milliseconds in parts)
            assert 0 <= wait + db <= total + 0.2
            assert db > 0
