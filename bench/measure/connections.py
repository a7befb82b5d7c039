"""The cost of a connection: CPU time to open it, memory while it is idle; and ten thousand of them."""

import asyncio
from dataclasses import dataclass
from statistics import median

import aiohttp

from bench.contestants import NODE_SEED, OURS, PYTHON_SOCKETIO, Contestant, Running
from bench.cpu import collected_bytes, cpu_seconds
from bench.plan import Plan
from bench.report.section import Section, Verdict
from bench.rounds import alternate, ratio
from bench.stage import Stage

FIRST, MORE = 2000, 8000
QUICK_FIRST, QUICK_MORE = 500, 2000
MANY = 10_000
SCRAPES = 20
NOTES = [
    """Socket.IO over websockets, from the TCP connection to the greeting. Some connections are open already, so that
one-time costs are not counted. Memory is the process's own (anonymous) memory before and after, at rest; Node is made
to collect its garbage before each measurement.""",
]


@dataclass(frozen=True)
class Cost:
    """CPU seconds to connect, and bytes while idle, of one connection."""

    cpu: float
    memory: float


async def measure(stage: Stage, plan: Plan) -> Section:
    """Compare the costs; then, unless there is no time, keep ten thousand."""
    contestants = (OURS, NODE_SEED) if plan.quick else (OURS, NODE_SEED, PYTHON_SOCKETIO)
    results = await alternate(contestants, plan.rounds, lambda one: _cost(stage, one, plan), plan.progress)
    rows = [
        [
            one.name,
            f"{median(cost.cpu for cost in found) * 1e6:,.0f} µs",
            f"{median(cost.memory for cost in found) / 1024:.1f} KiB",
        ]
        for one, found in zip(contestants, results, strict=True)
    ]
    ours, seed = results[0], results[1]
    verdicts = [
        Verdict(
            measure="CPU per connect",
            target="≤ 0.6 × node-seed",
            reached=ratio([cost.cpu for cost in ours], [cost.cpu for cost in seed]),
            limit=0.6,
        ),
        Verdict(
            measure="memory per idle connection",
            target="≤ 0.6 × node-seed",
            reached=ratio([cost.memory for cost in ours], [cost.memory for cost in seed]),
            limit=0.6,
        ),
    ]
    if not plan.quick:
        verdicts += await _many(stage, plan)
    headers = ("server", "CPU per connect", "memory per idle connection")
    return Section(title="Connections", notes=NOTES, headers=headers, rows=rows, verdicts=verdicts)


async def _cost(stage: Stage, contestant: Contestant, plan: Plan) -> Cost:
    first, more = (QUICK_FIRST, QUICK_MORE) if plan.quick else (FIRST, MORE)
    async with stage.running(contestant) as running:
        protocol = contestant.protocols["websocket"]
        await stage.listener.ask(do="open", url=running.url, count=first, protocol=protocol)
        await asyncio.sleep(1)
        memory = await collected_bytes(running.server)
        cpu = cpu_seconds([running.server])
        await stage.listener.ask(do="open", url=running.url, count=more, protocol=protocol, more=True)
        cpu = cpu_seconds([running.server]) - cpu
        await asyncio.sleep(2)
        return Cost(cpu / more, (await collected_bytes(running.server) - memory) / more)


async def _many(stage: Stage, plan: Plan) -> list[Verdict]:
    """Hold ten thousand for five minutes, with an event to all at both ends; every client must be there for both.

    In between, measure a scrape of the metrics.
    """
    async with stage.running(OURS) as running:
        await stage.listener.ask(do="open", url=running.url, count=MANY, protocol=OURS.protocols["websocket"])
        await _event(stage)
        scrape = await scrape_seconds(running)
        for minute in range(5):
            await asyncio.sleep(60)
            plan.progress(f"{MANY:,} connections, minute {minute + 1} of 5")
        await _event(stage)
        lost: int = (await stage.listener.ask(do="lost"))["lost"]
    held = Verdict(
        measure=f"{MANY:,} connections, an event to all, five minutes, another event",
        target="none lost",
        reached=lost,
        limit=0,
        unit="lost",
    )
    scraped = Verdict(
        measure=f"a scrape of the metrics with {MANY:,} connections, CPU time",
        target="≤ 5 ms",
        reached=scrape * 1000,
        limit=5,
        unit="ms",
    )
    return [held, scraped]


async def scrape_seconds(running: Running) -> float:
    """Return the server's CPU time for one scrape of its metrics, all of it in the event loop's thread."""
    async with aiohttp.ClientSession() as session:
        cpu = cpu_seconds([running.server])
        for _ in range(SCRAPES):
            async with session.get(f"{running.admin_url}/metrics") as response:
                await response.read()
        return (cpu_seconds([running.server]) - cpu) / SCRAPES


async def _event(stage: Stage) -> None:
    await stage.listener.ask(do="begin")
    await stage.writer.ask(count=1)
    await stage.listener.ask(do="complete", events=1)
