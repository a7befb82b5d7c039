"""Writes with keys through everything that can break: each is done once, and its answer stays the same."""

import asyncio
import json
import random
from contextlib import AsyncExitStack, suppress
from typing import Any
from uuid import uuid4

import aiohttp
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError
from redis.asyncio import Redis

from services.commands.setup_db import setup
from services.common.cursor import Cursor, Position, cluster_time
from services.common.numbering import Numbering
from services.common.visible_fields import ALL_FIELDS
from services.embedded.replica_set import direct_client
from tests.conftest import OwnMongodSet, RunService
from tests.service_process import ServiceProcess
from tests.waiting import until

_WRITERS = 6
_AGAIN = {409, 502, 503}  # of an answer to a request with a key: repeat it
_PATIENCE = aiohttp.ClientTimeout(total=8)


class Writer:
    """Sends writes, each with a key, to any gateway, and repeats each until it has an answer."""

    def __init__(self, gateways: list[ServiceProcess], seed: int) -> None:
        self._gateways = gateways
        self._chance = random.Random(seed)
        self.own: list[str] = []
        self.done: list[tuple[str, str, Any, str, tuple[int, str, str | None]]] = []
        self.repeats = 0

    async def write(self, session: aiohttp.ClientSession) -> None:
        kind = self._chance.choice(["POST", "PUT", "PATCH", "DELETE", "batch"]) if self.own else "POST"
        body: Any = None
        method, path = kind, "/api/orders"
        new = {"customer_name": str(uuid4()), "product_name": "Laptop"}
        if kind == "POST":
            body = new
        elif kind == "batch":
            changed = {"operation": "UPDATE", "id": self._chance.choice(self.own), "order": new}
            method, path = "POST", "/api/orders:batch"
            body = {"operations": [{"operation": "INSERT", "order": new}, changed]}
        else:
            chosen = self._chance.choice(self.own)
            path, body = f"{path}/{chosen}", None if kind == "DELETE" else {"product_name": str(uuid4())}
            if kind == "DELETE":
                self.own.remove(chosen)
        key = str(uuid4())
        answer = await self.answer(session, method, path, body, key)
        assert answer[0] in {200, 201}, answer
        self.done.append((method, path, body, key, answer))
        if kind == "POST":
            self.own.append(json.loads(answer[1])["_id"])

    async def answer(
        self, session: aiohttp.ClientSession, method: str, path: str, body: Any, key: str
    ) -> tuple[int, str, str | None]:
        async with asyncio.timeout(60):
            while True:
                url = f"{self._chance.choice(self._gateways).url}{path}"
                with suppress(aiohttp.ClientError, TimeoutError):
                    headers = {"Idempotency-Key": key}
                    async with session.request(method, url, json=body, headers=headers, timeout=_PATIENCE) as reply:
                        text = await reply.text()
                        if reply.status not in _AGAIN:
                            return reply.status, text, reply.headers.get("Stream-Cursor")
                self.repeats += 1
                await asyncio.sleep(0.05)


async def test_writes_with_keys_are_done_once_through_elections_killed_gateways_and_a_lost_redis(
    own_mongod_set: OwnMongodSet, redis_url: str, run_service: RunService
) -> None:
    members = await own_mongod_set(3)
    uri = members.uri("orders")
    await asyncio.to_thread(lambda: list(setup(uri)))
    environment = {"MONGODB_URI": uri, "REDIS_URL": redis_url, "LOG_FORMAT": "console", "DRAIN_SECONDS": "0.2"}
    await run_service("watcher", {**environment, "LEASE_SECONDS": "1"})
    gateways = [await run_service("gateway", environment) for _ in range(2)]
    writers = [Writer(gateways, seed) for seed in range(_WRITERS)]
    enough = asyncio.Event()

    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(AsyncMongoClient[dict[str, Any]](uri))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        redis = await stack.enter_async_context(Redis.from_url(redis_url))
        orders = client.get_default_database()["orders"]
        start = (await client.admin.command("ping"))["operationTime"]

        async def write(writer: Writer) -> None:
            while not enough.is_set():
                await writer.write(session)
                await asyncio.sleep(0.01)  # there is time for hundreds during an election, and other tests run, too

        async def progress() -> None:
            """Wait until each writer has gone on."""
            before = [len(writer.done) for writer in writers]
            await until(
                lambda: all(len(writer.done) >= count + 3 for writer, count in zip(writers, before, strict=True)),
                "each writer has gone on",
                60,
            )

        async with asyncio.TaskGroup() as group:
            for writer in writers:
                group.create_task(write(writer))
            await progress()
            primary = await members.primary()
            with suppress(PyMongoError):  # it closes its connections
                async with direct_client(primary.host) as direct:
                    await direct.admin.command("replSetStepDown", 10, secondaryCatchUpPeriodSecs=5)
            await progress()
            await gateways[0].kill()
            await redis.flushdb()
            await progress()
            await gateways[0].start()
            await progress()
            enough.set()
        assert sum(writer.repeats for writer in writers) > 0, "something did break"

        done = [each for writer in writers for each in writer.done]
        for method, path, body, key, first in random.Random(1).sample(done, min(len(done), 60)):
            again = await writers[0].answer(session, method, path, body, key)
            assert again[:2] == first[:2]
        # Every write is in the stream once, where its cursor says, or earlier if its commit had to be sent twice.
        expected = sum(2 if path.endswith("batch") else 1 for _, path, *_ in done)
        await orders.insert_one({"_id": "last"})
        numbering, places = Numbering("e1", Position.end_of(cluster_time(start)), ALL_FIELDS), set()
        async with await orders.watch(start_at_operation_time=start) as stream:
            while (event := await stream.next())["documentKey"]["_id"] != "last":
                if cluster_time(event["clusterTime"]) > cluster_time(start):
                    numbering.of(event)
                    places.add(numbering.last)
        assert len(places) == expected
        cursors = [Cursor.parse(cursor).position for *_, (_, _, cursor) in done if cursor is not None]
        assert sum(position in places for position in cursors) >= len(cursors) * 0.9
