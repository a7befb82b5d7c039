"""How fast the watcher carries a backlog from MongoDB to Redis, compared with drivers that only read it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from redis.asyncio import Redis

from bench.contestants import PEERS, watcher
from bench.cpu import cpu_seconds
from bench.dialogue import Dialogue, module
from bench.plan import Plan
from bench.report.section import Section, Verdict
from bench.rounds import alternate, ratio
from bench.stage import Stage

# Events that come with the answer that opens the stream. A whole getMore brings forty thousand: if the first one were
# not counted, the bare readers would get them for free.
SKIPPED = 100
NAMES = ("watcher", "bare PyMongo, raw", "bare Node driver")
NOTES = [
    """A backlog of orders is written while no reader runs; then each reader drains it from the same point. The watcher
decodes, normalizes and encodes all of it, and writes it to the log in Redis; the bare readers only count the events:
PyMongo reads the watcher's own stream without decoding it, Node's driver the collection's stream as it comes. The
first hundred events, which come with the answer that opens the stream, are not counted.""",
]


@dataclass(frozen=True)
class Drained:
    """Events a second, and CPU seconds an event."""

    rate: float
    cpu: float


async def measure(stage: Stage, plan: Plan) -> Section:
    """Write the backlog once and let each reader drain it in each round."""
    count = 20_000 if plan.quick else 100_000
    checkpoint = await _first_checkpoint(stage)
    since = await _now(stage)
    await stage.writer.ask(count=count, burst=1000)

    async def one(name: str) -> Drained:
        if name == "watcher":
            return await _watcher(stage, count, checkpoint)
        return await _bare(stage, name, count, since)

    results = await alternate(NAMES, plan.rounds, one, plan.progress)
    rows = [
        [name, f"{median(one.rate for one in found):,.0f}", f"{median(one.cpu for one in found) * 1e6:.1f} µs"]
        for name, found in zip(NAMES, results, strict=True)
    ]
    rates = [[one.rate for one in found] for found in results]
    verdicts = [
        Verdict(
            measure="watcher, draining a backlog: events/s",
            target=f"≥ {limit} × {name}",
            reached=ratio(rates[0], others),
            limit=limit,
            at_least=True,
        )
        for name, others, limit in zip(NAMES[1:], rates[1:], (0.6, 1.0), strict=True)
    ]
    headers = ("reader", "events/s", "CPU per event")
    return Section(title=f"A backlog of {count:,} changes", notes=NOTES, headers=headers, rows=rows, verdicts=verdicts)


async def _bare(stage: Stage, name: str, count: int, since: tuple[int, int]) -> Drained:
    node = ["node", str(PEERS / "node-seed" / "drain.js"), stage.mongodb_uri]
    python = module("bench.load.bare_stream", stage.mongodb_uri)
    async with Dialogue(node if name == NAMES[2] else python, server=True) as reader:
        await reader.ask(do="open", since=since)
        answer = await reader.ask(do="drain", count=count, skipped=SKIPPED)
    return Drained(answer["events"] / answer["seconds"], answer["cpu"] / answer["events"])


async def _now(stage: Stage) -> tuple[int, int]:
    """Return the first cluster time after all that is written so far, as seconds and ordinal."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(stage.mongodb_uri)
    async with client:
        stamp = (await client.admin.command("hello"))["operationTime"]
    return stamp.time, stamp.inc + 1


async def _first_checkpoint(stage: Stage) -> dict[str, Any]:
    """Let the watcher begin its epoch, and return the checkpoint that it leaves."""
    settings = {"MONGODB_URI": stage.mongodb_uri, "REDIS_URL": stage.redis_url}
    async with watcher(settings, stage.new_folder("watcher")), _state(stage) as state:
        async with asyncio.timeout(20):
            while (document := await state.find_one({"resume_token": {"$gt": ""}})) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.05)  # there is no event to wait for

    return document


async def _watcher(stage: Stage, count: int, checkpoint: dict[str, Any]) -> Drained:
    """Let it rebuild the log from the checkpoint before the backlog, after Redis has lost everything."""
    settings = {
        "MONGODB_URI": stage.mongodb_uri,
        "REDIS_URL": stage.redis_url,
        "REPLAY_WINDOW_SECONDS": "0",
        "LOG_MAX_EVENTS": str(count * 2),
    }
    async with Redis.from_url(stage.redis_url) as redis, _state(stage) as state:
        await redis.flushdb()
        await state.replace_one({"_id": checkpoint["_id"]}, checkpoint | {"owner": None})
        async with watcher(settings, stage.new_folder("watcher")) as process:
            first = await _reaches(redis, SKIPPED)
            before, started = cpu_seconds([process.pid]), perf_counter()
            last = await _reaches(redis, count)
            spent, seconds = cpu_seconds([process.pid]) - before, perf_counter() - started
    return Drained((last - first) / seconds, spent / (last - first))


@asynccontextmanager
async def _state(stage: Stage) -> "AsyncIterator[AsyncCollection[dict[str, Any]]]":
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(stage.mongodb_uri)
    async with client:
        yield client.get_default_database()["stream_state"]


async def _reaches(redis: Redis, count: int) -> int:
    """Return the length of the log once it is at least ``count``."""
    async with asyncio.timeout(120):
        while (length := int(await redis.xlen("{orders}:log"))) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # as above
    return length
