"""One client in a thousand stops reading: the effect on the others' latency and on the gateway's memory."""

import asyncio
from dataclasses import dataclass
from statistics import median

from bench.contestants import NODE_SEED, OURS, Contestant
from bench.cpu import collected_bytes
from bench.plan import Plan
from bench.report.section import Section, Verdict
from bench.rounds import alternate, ratio
from bench.stage import Stage

CLIENTS = 1000
EVENTS = 800
RATE = 25.0
PADDING = 4000  # bytes an order: more than three megabytes for each client
NOTES = [
    f"""{EVENTS:,} orders of {PADDING // 1000} KB at {RATE:.0f} a second to {CLIENTS:,} clients, once with all of them
reading, once with one that has stopped. The latencies are those of the others. Memory is the growth of the server's
process; of the data that the kernel does not take for a client, our gateway keeps that of one write, and then only the
client's position.""",
]


@dataclass(frozen=True)
class Effect:
    """The 99th percentile of the others in seconds, and the server's growth in bytes."""

    p99: float
    growth: int


async def measure(stage: Stage, plan: Plan) -> Section:
    """Compare with and without the stalled client."""
    cases = [(OURS, 0), (OURS, 1), (NODE_SEED, 0), (NODE_SEED, 1)]

    async def one(case: tuple[Contestant, int]) -> Effect:
        return await _effect(stage, *case)

    results = await alternate(cases, plan.rounds, one, plan.progress)
    rows = [
        [
            f"{contestant.name}, {'one stalled' if stalled else 'all reading'}",
            f"{median(effect.p99 for effect in found) * 1000:,.1f} ms",
            f"{median(effect.growth for effect in found) / 2**20:.1f} MiB",
        ]
        for (contestant, stalled), found in zip(cases, results, strict=True)
    ]
    extra = [with_it.growth - without.growth for without, with_it in zip(results[0], results[1], strict=True)]
    verdicts = [
        Verdict(
            measure="one stalled client in 1,000: p99 of the others",
            target="≤ 1.2 × without",
            reached=ratio([effect.p99 for effect in results[1]], [effect.p99 for effect in results[0]]),
            limit=1.2,
        ),
        Verdict(
            measure="one stalled client in 1,000: memory for it",
            target="≤ 1 MiB and what one write adds",
            reached=median(extra) / 2**20,
            limit=1.5,
            unit="MiB",
        ),
    ]
    headers = ("server", "p99 of the others", "memory grew by")
    return Section(title="A stalled client", notes=NOTES, headers=headers, rows=rows, verdicts=verdicts)


async def _effect(stage: Stage, contestant: Contestant, stalled: int) -> Effect:
    async with stage.running(contestant) as running:
        protocol = contestant.protocols["websocket"]
        await stage.listener.ask(do="open", url=running.url, count=CLIENTS, protocol=protocol)
        await stage.listener.ask(do="begin")
        await stage.writer.ask(count=100, rate=RATE, padding=PADDING)
        await stage.listener.ask(do="complete", events=100)
        await asyncio.sleep(1)
        memory = await collected_bytes(running.server)
        await stage.listener.ask(do="begin", timing=True, stalled=stalled)
        written = await stage.writer.ask(count=EVENTS, rate=RATE, padding=PADDING)
        await stage.listener.ask(do="complete", events=EVENTS, without=stalled)
        growth = await collected_bytes(running.server) - memory
        answer = await stage.listener.ask(do="latency", acknowledged=written["acknowledged"])
        return Effect(answer["p99"], growth)
