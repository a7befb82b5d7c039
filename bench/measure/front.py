"""The cost of the load balancer: memory of an idle client, CPU time to open it and per delivery; beside nginx."""

import asyncio
from dataclasses import dataclass
from functools import partial
from statistics import median

from bench import fronts
from bench.contestants import OURS
from bench.cpu import cpu_seconds
from bench.fronts import Front
from bench.plan import Plan
from bench.report.section import Section, Verdict
from bench.rounds import alternate, ratio
from bench.stage import Stage

FIRST, MORE = 500, 2000
CLIENTS, EVENTS, RATE = 200, 500, 50.0
TRANSPORTS = ("websocket", "sse")
NOTES = [
    f"""One gateway behind a load balancer, {MORE:,} idle clients after {FIRST}, then {CLIENTS} clients and
{EVENTS} single events. Memory is the processes' own (anonymous) memory; the kernel's for two sockets comes on top. CPU
time is that of the load balancer's processes, and in parentheses the gateway's for the same deliveries. Streams are
only opened: a load balancer may put several events into one chunk, and the listening process compares bytes.""",
]


@dataclass(frozen=True)
class Cost:
    """Bytes of an idle client, CPU seconds to open it, and of a delivery in the load balancer and in the gateway."""

    memory: float
    opening: float
    delivery: float | None = None
    gateway: float = 0


async def measure(stage: Stage, plan: Plan) -> Section:
    """Compare the load balancers that are installed, by transport."""
    rows, verdicts = [], []
    names = fronts.installed()
    for transport in TRANSPORTS:
        results = await alternate(names, plan.rounds, partial(_cost, stage, transport), plan.progress)
        rows += [[transport, name, *_figures(found)] for name, found in zip(names, results, strict=True)]
        by_name = dict(zip(names, results, strict=True))
        if {fronts.OURS, fronts.NGINX} <= by_name.keys():
            ours, nginx = ([cost.memory for cost in by_name[name]] for name in (fronts.OURS, fronts.NGINX))
            verdicts.append(
                Verdict(
                    measure=f"load balancer, {transport}: memory per idle client",
                    target="≤ 0.6 × nginx",
                    reached=ratio(ours, nginx),
                    limit=0.6,
                )
            )
    headers = ("transport", "load balancer", "memory per idle client", "CPU per connect", "CPU per delivery")
    return Section(title="The load balancer", notes=NOTES, headers=headers, rows=rows, verdicts=verdicts)


def _figures(found: list[Cost]) -> list[str]:
    deliveries = [cost.delivery for cost in found if cost.delivery is not None]
    return [
        f"{median(cost.memory for cost in found) / 1024:.1f} KiB",
        f"{median(cost.opening for cost in found) * 1e6:,.0f} µs",
        f"{median(deliveries) * 1e6:.2f} µs ({median(cost.gateway for cost in found) * 1e6:.2f})" if deliveries else "",
    ]


async def _cost(stage: Stage, transport: str, name: str) -> Cost:
    protocol = OURS.protocols[transport]
    async with stage.running(OURS) as running:
        gateway = int(running.url.rpartition(":")[2])
        async with Front(name=name, folder=stage.new_folder("front"), gateway=gateway) as front:
            await stage.listener.ask(do="open", url=front.url, count=FIRST, protocol=protocol)
            await asyncio.sleep(1)
            workers = front.workers()
            memory, cpu = front.memory(), cpu_seconds(workers)
            await stage.listener.ask(do="open", url=front.url, count=MORE, protocol=protocol, more=True)
            opening = (cpu_seconds(workers) - cpu) / MORE
            await asyncio.sleep(1)
            memory = front.memory() - memory
            await stage.listener.ask(do="close")
        if transport != "websocket":
            return Cost(memory / MORE, opening)
        async with Front(name=name, folder=stage.new_folder("front"), gateway=gateway) as front:
            await stage.listener.ask(do="open", url=front.url, count=CLIENTS, protocol=protocol)
            await stage.listener.ask(do="begin")
            processes = (front.workers(), [running.server])
            before = [cpu_seconds(each) for each in processes]
            await stage.writer.ask(count=EVENTS, rate=RATE)
            await stage.listener.ask(do="complete", events=EVENTS)
            deliveries = CLIENTS * EVENTS
            used = [cpu_seconds(each) - was for each, was in zip(processes, before, strict=True)]
            await stage.listener.ask(do="close")
        return Cost(memory / MORE, opening, used[0] / deliveries, used[1] / deliveries)
