"""All clients reconnect at once, as after a restart of the load balancer, and recover the events they missed."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from bench.contestants import NODE_REDIS, OURS, Contestant
from bench.cpu import cpu_seconds
from bench.plan import Plan
from bench.report.section import Section, Verdict
from bench.rounds import alternate
from bench.stage import Stage

CLIENTS = 5000
MISSED = 20
NOTES = [
    f"""{CLIENTS:,} websocket clients are cut off at once, {MISSED} orders are written, and all reconnect with their
session and offset. A client is live once it has been greeted and has every missed event, each once and in order. Reads
are those of the log in Redis beyond the feed's own, and those of the orders in MongoDB. node-redis walks Redis's
stream for each client.""",
]
# The XREAD of node-redis is its feed.
READS = ("xrange", "xrevrange", "get", "getdel")
# Our watcher's script reads the end of the log by one XREVRANGE each time; nothing else runs a script meanwhile.
SCRIPT = "evalsha"


@dataclass(frozen=True)
class Storm:
    """The time, CPU time and reads until all clients were live."""

    seconds: float
    cpu: float
    redis: int
    mongodb: int


async def measure(stage: Stage, plan: Plan) -> Section:
    """Compare ours with the peer that recovers at all."""
    contestants = (OURS, NODE_REDIS)
    results = await alternate(contestants, plan.rounds, lambda one: _storm(stage, one), plan.progress)
    rows = [
        [
            one.name,
            f"{median(storm.seconds for storm in found):.2f} s",
            f"{median(storm.cpu for storm in found) / CLIENTS * 1e6:,.0f} µs",
            f"{max(storm.redis for storm in found):,}",
            f"{max(storm.mongodb for storm in found):,}",
        ]
        for one, found in zip(contestants, results, strict=True)
    ]
    verdicts = [
        Verdict(measure=f"reconnect storm of {CLIENTS:,}: reads of {what}", target="0", reached=reads, limit=0, unit="")
        for what, reads in (
            ("Redis", max(storm.redis for storm in results[0])),
            ("MongoDB", max(storm.mongodb for storm in results[0])),
        )
    ]
    headers = ("server", "until all are live", "CPU per client", "Redis reads", "MongoDB reads")
    return Section(title="Reconnect storm", notes=NOTES, headers=headers, rows=rows, verdicts=verdicts)


async def _storm(stage: Stage, contestant: Contestant) -> Storm:
    async with stage.running(contestant) as running:
        protocol = contestant.protocols["websocket"]
        await stage.listener.ask(do="open", url=running.url, count=CLIENTS, protocol=protocol)
        await stage.listener.ask(do="begin")
        await stage.writer.ask(count=10, rate=10.0)
        await stage.listener.ask(do="complete", events=10)
        await stage.listener.ask(do="leave")
        await stage.writer.ask(count=MISSED, first=10, rate=20.0)
        redis, mongodb, cpu = await _redis_reads(stage), await _mongodb_reads(stage), cpu_seconds([running.server])
        answer = await stage.listener.ask(do="come_back", events=10 + MISSED)
        return Storm(
            answer["seconds"],
            cpu_seconds([running.server]) - cpu,
            await _redis_reads(stage) - redis,
            await _mongodb_reads(stage) - mongodb,
        )


async def _redis_reads(stage: Stage) -> int:
    async with Redis.from_url(stage.redis_url) as redis:
        stats: Mapping[str, Mapping[str, int]] = await redis.info("commandstats")
    calls = {command: stats.get(f"cmdstat_{command}", {}).get("calls", 0) for command in (*READS, SCRIPT)}
    return sum(calls[command] for command in READS) - calls[SCRIPT]


async def _mongodb_reads(stage: Stage) -> int:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(stage.mongodb_uri)
    async with client:
        top = await client.admin.command("top")
        usage = top["totals"][f"{client.get_default_database().name}.orders"]
    return int(usage["queries"]["count"] + usage["commands"]["count"])
