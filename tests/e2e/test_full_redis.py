"""More passes through Redis than it can hold: every client gets all of it once, and old cursors are served."""

import asyncio
from typing import Any

from pymongo import AsyncMongoClient

from services.commands.setup_db import setup
from tests.conftest import OwnMongod, OwnValkey, RunService
from tests.e2e.clients import curl, node
from tests.waiting import until

ORDERS = 500
NOTE = "x" * 100_000


async def test_fifty_megabytes_of_orders_go_through_a_redis_of_thirty_two(
    own_mongod: OwnMongod, own_valkey: OwnValkey, run_service: RunService
) -> None:
    mongod, valkey = await own_mongod(), await own_valkey("--maxmemory", "32mb")
    await asyncio.to_thread(lambda: list(setup(mongod.uri("orders"))))
    settings = {"MONGODB_URI": mongod.uri("orders"), "REDIS_URL": valkey.uri()}
    watcher = await run_service("watcher", settings)
    gateway = await run_service("gateway", {**settings, "RING_EVENTS": "100"})
    events = f"{gateway.url}/api/orders/events"
    async with (
        node(gateway.url) as socket,
        curl(events) as stream,
        AsyncMongoClient[dict[str, Any]](mongod.uri()) as mongo,
    ):
        orders = mongo["orders"]["orders"]
        ids = [str((await orders.insert_one({"number": 0})).inserted_id)]
        await asyncio.gather(socket.has(1), stream.has(1))
        cursor = stream.cursor
        for _ in range(ORDERS // 10):
            written = await orders.insert_many([{"note": NOTE} for _ in range(10)])
            ids += map(str, written.inserted_ids)
        await asyncio.gather(socket.has(len(ids), 90), stream.has(len(ids), 90))
        async with curl(f"{events}?since={cursor}") as late:
            await late.has(ORDERS, 60)
            assert [each["id"] for each in late.updates] == ids[1:]
            assert not late.named("resync")
        for listener in (socket, stream):
            assert [each["id"] for each in listener.updates] == ids
            assert not listener.named("resync")
    # The log has been trimmed past it by then, or the gateway learns that as it reads.
    sources = [await gateway.metric(f'orders_gateway_resumes_total{{source="{each}"}}') for each in ("log", "oplog")]
    assert sum(sources) == 1
    assert await watcher.metric('orders_watcher_log_trims_total{reason="memory"}') > 0
    assert await watcher.metric('orders_watcher_failures_total{what="redis"}') == 0
    assert watcher.output.count("Redis is full (OOM), trimming the log to make room") == 1
    assert "redis failed" not in watcher.output

    async def knows() -> bool:
        used = await watcher.metric("orders_watcher_redis_memory_bytes")
        return 0 < used < 1.1 * 32 * 2**20 == 1.1 * await watcher.metric("orders_watcher_redis_memory_limit_bytes")

    await until(knows, "its memory is shown")

    async def counts() -> bool:
        events = await watcher.metric("orders_watcher_log_events")
        return 0 < events < ORDERS and 0 < await watcher.metric("orders_watcher_log_bytes") < 32 * 2**20

    await until(counts, "the size of the log is shown")
