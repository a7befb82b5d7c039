"""A thousand pages load the same list at once: what that costs MongoDB and the server."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from pymongo import AsyncMongoClient

from bench.contestants import NODE_SEED, OURS, Contestant
from bench.cpu import cpu_seconds
from bench.dialogue import Dialogue, module
from bench.plan import Plan
from bench.report.section import Section, Verdict
from bench.rounds import alternate
from bench.stage import Stage

PAGES = 1000
NOTES = [
    f"""{PAGES:,} connections, each of which sends one request for the same list of 50, all at once. MongoDB's reads are
the `find` commands that it has been sent meanwhile. Our gateway shares a read among equal requests that came before it
began, so each still gets a list that is not older than its request.""",
]


@dataclass(frozen=True)
class Crowd:
    """The time until all had their list, the server's CPU time, and the reads of MongoDB."""

    seconds: float
    cpu: float
    finds: int


async def measure(stage: Stage, plan: Plan) -> Section:
    """Compare ours with node-seed."""
    await stage.writer.ask(count=200, burst=200)
    contestants = (OURS, NODE_SEED)
    results = await alternate(contestants, plan.rounds, lambda one: _crowd(stage, one), plan.progress)
    verdict = Verdict(
        measure=f"{PAGES:,} equal lists at once: reads of MongoDB",
        target="≤ 10",
        reached=max(one.finds for one in results[0]),
        limit=10,
        unit="",
    )
    headers = ("server", "until all have it", "CPU per list", "MongoDB reads")
    rows = [_row(one, found) for one, found in zip(contestants, results, strict=True)]
    return Section(title="A crowd of equal lists", notes=NOTES, headers=headers, rows=rows, verdicts=[verdict])


async def _crowd(stage: Stage, contestant: Contestant) -> Crowd:
    async with (
        contestant.running(stage.mongodb_uri, stage.redis_url, stage.new_folder(contestant.name)) as running,
        Dialogue(module("bench.load.http", running.url)) as client,
    ):
        for _ in range(3):
            await client.ask(do="crowd", pages=PAGES)  # warm up
        finds, cpu = await _finds(stage), cpu_seconds([running.server])
        answer = await client.ask(do="crowd", pages=PAGES)
        cpu = cpu_seconds([running.server]) - cpu
        return Crowd(answer["seconds"], cpu, await _finds(stage) - finds)


async def _finds(stage: Stage) -> int:
    async with AsyncMongoClient[dict[str, Any]](stage.mongodb_uri) as client:
        status = await client.admin.command("serverStatus")
    return int(status["metrics"]["commands"]["find"]["total"])


def _row(contestant: Contestant, found: Sequence[Crowd]) -> list[str]:
    cpu = median(one.cpu for one in found) / PAGES
    seconds = median(one.seconds for one in found)
    return [contestant.name, f"{seconds:.2f} s", f"{cpu * 1e6:,.0f} µs", f"{max(one.finds for one in found):,}"]
