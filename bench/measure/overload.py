"""What is answered, and how fast, where several times as much is asked for as can be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.contestants import OURS, Running
from bench.cpu import cpu_seconds, cpu_seconds_with_ended_threads
from bench.dialogue import Dialogue, module
from bench.load.offered import ADDRESSES, MOST_CONNECTIONS
from bench.plan import Plan
from bench.report.section import Section, Verdict
from bench.stage import Stage

CONNECTIONS = 4  # of each address, for the peak
TIMES = (0.5, 1.0, 2.0, 5.0)
SECONDS = 5.0
WARM_UP = 2.0
ORDERS = 6_000  # more than are counted
LOADS = {"counts": "MongoDB is the bottleneck", "mixed": "the gateway is the bottleneck"}
NOTES = [
    f"""Clients of {len(ADDRESSES)} addresses send one of two loads. Counts: each asks how many of {ORDERS:,} orders
have changed since a time of its own, which costs MongoDB more than the gateway. Mixed: single GETs (60 %),
pages of 50 orders from anywhere in the list (30 %) and POSTs (10 %), which costs the gateway more. The peak is
what they get answered where each of {CONNECTIONS} connections of an address sends its next request once it has
its answer. Then they send at a steady rate, a multiple of the peak, whether or not the earlier requests are
answered, each over a connection that is free or a new one, up to {MOST_CONNECTIONS} of an address; beyond, a
request is not sent and counts as failed. Times count from when a request was due. Goodput is what is answered
as asked. The clients share a core with MongoDB; the last column is what they themselves take of it.""",
]


@dataclass(frozen=True)
class Load:
    """What became of a load; rates a second, times in seconds."""

    times: float
    offered: float
    good: float
    refused: float
    failed: float
    good_p99: float
    refused_p99: float
    peak: float
    cpu: float  # of the gateway, of a core
    mongodb: float
    clients: float


async def measure(stage: Stage, plan: Plan) -> Section:
    """Measure the peak, then one multiple of it after the other, with a gateway of its own in each round."""
    await stage.writer.ask(count=ORDERS, burst=500)
    rows, verdicts = [], []
    for load, bottleneck in LOADS.items():
        rounds = [await _round(stage, plan, load) for _ in range(plan.rounds)]
        rows += [[load, *_row([one[number] for one in rounds])] for number in range(len(TIMES))]
        verdicts += _verdicts(bottleneck, [one[-1] for one in rounds])
    spent = ("gateway's CPU", "MongoDB's", "clients'")
    headers = ("load", "offered", "goodput", "of the peak", "503", "failed", "p99", "p99 of 503", *spent)
    return Section(title="Overload", notes=NOTES, headers=headers, rows=rows, verdicts=verdicts)


def _verdicts(bottleneck: str, most: list[Load]) -> list[Verdict]:
    where = f"REST at {TIMES[-1]:g} × the peak, where {bottleneck}"
    one = _median(most)
    return [
        Verdict(
            measure=f"{where}: goodput",
            target="≥ 0.8 × the peak",
            reached=median(each.good / each.peak for each in most),
            limit=0.8,
            at_least=True,
        ),
        Verdict(
            measure=f"{where}: p99 of all answers",
            target="≤ 1 s",
            reached=max(one.good_p99, one.refused_p99),
            limit=1.0,
            unit="s",
        ),
    ]


async def _round(stage: Stage, plan: Plan, load: str) -> list[Load]:
    async with stage.running(OURS) as running, Dialogue(module("bench.load.offered", running.url)) as clients:
        await clients.ask(do="prepare", load=load)
        await clients.ask(do="repeat", connections=CONNECTIONS, seconds=WARM_UP)
        peak = (await clients.ask(do="repeat", connections=CONNECTIONS, seconds=SECONDS))["outcomes"]["good"]
        plan.progress(f"overload, {load}: the peak is {peak:,.0f} requests/s")
        found = []
        for times in TIMES:
            before = _spent(stage, running)
            answer = await clients.ask(do="offer", rate=times * peak, seconds=SECONDS)
            shares = [(now - was) / answer["took"] for now, was in zip(_spent(stage, running), before, strict=True)]
            spent = shares[0], shares[1], answer["cpu"]
            found.append(_load(times, peak, spent, answer))
            plan.progress(f"overload, {load}: {times:g} × the peak, {found[-1].good / peak:.0%} of it: {answer}")
        return found


def _spent(stage: Stage, running: Running) -> tuple[float, float]:
    mongodb = 0.0 if stage.mongod is None else cpu_seconds_with_ended_threads(stage.mongod)
    return cpu_seconds([running.server]), mongodb


def _load(times: float, peak: float, spent: tuple[float, float, float], answer: Mapping[str, Any]) -> Load:
    outcomes: Mapping[str, float] = answer["outcomes"]
    good, refused = outcomes.get("good", 0.0), outcomes.get("503", 0.0)
    failed = sum(rate for outcome, rate in outcomes.items() if outcome not in ("good", "503"))
    good_p99, refused_p99 = answer["good_p99"] or 0.0, answer["refused_p99"] or 0.0
    return Load(times, answer["offered"], good, refused, failed, good_p99, refused_p99, peak, *spent)


def _median(rounds: Sequence[Load]) -> Load:
    names = Load.__dataclass_fields__
    return Load(**{name: median(getattr(one, name) for one in rounds) for name in names})


def _row(rounds: Sequence[Load]) -> list[str]:
    one = _median(rounds)
    return [
        f"{one.times:g} × the peak: {one.offered:,.0f}/s",
        f"{one.good:,.0f}/s",
        f"{median(each.good / each.peak for each in rounds):.0%}",
        f"{one.refused:,.0f}/s",
        f"{one.failed:,.0f}/s",
        f"{one.good_p99 * 1000:,.0f} ms",
        f"{one.refused_p99 * 1000:,.0f} ms",
        *(f"{each:.0%}" for each in (one.cpu, one.mongodb, one.clients)),
    ]
