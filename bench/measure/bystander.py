"""What a bystander notices of one hostile client: how late his events come, and how long his requests take."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from statistics import median
from time import perf_counter
from typing import Literal
from urllib.parse import urlsplit

import aiohttp

from bench import network
from bench.attacks import NEIGHBOURS, attacking, neighbour, only_from
from bench.contestants import AS_DELIVERED, Running
from bench.cpu import cpu_seconds, cpu_seconds_with_ended_threads
from bench.dialogue import Dialogue, module
from bench.plan import Plan
from bench.report.section import Section, Verdict
from bench.stage import Stage

What = Literal["events", "GETs"]
Waits = Mapping[What, float]
"""99th percentiles in seconds."""

# One of each kind; the abuse suite has them all.
ATTACKERS = (
    "empty-continuations",
    "ping-flood",
    "twenty-ping-floods",
    "tiny-texts",
    "gzip-bombs",
    "nested-marks",
    "unknown-keys",
    "wrong-values",
    "old-cursors",
    "leavers-at-the-first-byte",
    "silent-connections",
    "half-sent-bodies",
    "large-filters-in-auth",
    "answers-to-unsubscribe",
    "clients-that-never-read",
    "polling-resumes",
    "list-flood",
    "list-flood-of-filters",
    "post-flood",
    "pipelined-flood",
    "handshake-flood",
    "stream-flood",
    "subscribe-flood",
    "poll-flood",
    "malformed-packets",
    "floods-of-headers",
    "exports-that-nobody-reads",
    "export-flood",
    "search-flood",
    "history-flood",
    "snapshot-flood",
    "batches-with-keys",
    "lists-that-nobody-reads",
    "polls-that-never-come",
    "probe-and-upgrade-at-once",
)
QUICK = ("ping-flood", "gzip-bombs", "list-flood")
HISTORY = 12_000  # orders, of which Redis keeps a tenth
RATE, SECONDS = 40.0, 8.0
EVENTS = int(RATE * SECONDS)
KINDS: tuple[What, ...] = ("events", "GETs")
CUSTOMER = 1  # the listener wants the orders of one customer: what attackers write is not compared
SETTLING = 1.0

TITLE = "A bystander of an attack"
NOTES = [
    f"""One client listens over a websocket, while {RATE:.0f} orders a second are written that it wants; another asks
for orders and lists of them at a steady pace. For {SECONDS:.0f} s they are alone, then for {SECONDS:.0f} s there is one
attacker, in turn. Each attacker is one client, or one address, in a process of its own that gets CPU time only where
nobody else wants it: its machine is not ours. It is a stranger: each time its address is a new one, which is neither
loopback nor the two clients', as the kernel says of all connections. The limits are those that the gateway comes with,
for a `HOST` that others reach. Events are timed from MongoDB's acknowledgement. A ratio is the median of the rounds'; ∞
where not all events came within half a minute, or a request failed. What gateway and MongoDB spent beside the attacker
is in percent of a core.""",
    """The first two rows are no attackers, but show what this machine makes of any busy neighbour: a process that only
spins, where nobody else wants its core, and a server that has nothing to do with ours, on the gateway's core, with a
stranger that floods it.""",
]
NO_STRANGERS = """**Not measured**: an attacker needs an address that is not loopback, which the bench has in a network
namespace of its own only. It has no such namespace, because this system allows none (`unshare --net`, `ip`), or because
`BENCH_MONGODB_URI` or `BENCH_REDIS_URL` is set."""

_strangers = map(network.stranger, count())  # what one has used of its limits is not the next one's


@dataclass(frozen=True)
class Round:
    """Without an attacker, with one, and the CPU time that gateway and MongoDB spent on a second with one."""

    quiet: Waits
    loud: Waits
    gateway: float
    mongodb: float


async def measure(stage: Stage, plan: Plan) -> Section:
    """Measure beside one attacker after the other, each with a gateway of its own."""
    headers = ("attacker", "events p99", "ratio", "GETs p99", "ratio", "gateway's CPU", "MongoDB's CPU")
    if not network.is_own():
        plan.progress(f"bystander: {NO_STRANGERS}")
        return Section(title=TITLE, notes=[*NOTES, NO_STRANGERS], headers=headers, rows=[])
    found: dict[str, list[Round]] = {}
    for name in QUICK if plan.quick else (*NEIGHBOURS, *ATTACKERS):
        found[name] = await _beside(stage, name, plan.rounds)
        plan.progress(f"bystander, {name}: {_ratio(found[name], 'events'):.1f} × {_ratio(found[name], 'GETs'):.1f} ×")
    attackers = {name: rounds for name, rounds in found.items() if name not in NEIGHBOURS}
    rows = [_row(name, rounds) for name, rounds in found.items()]
    return Section(
        title=TITLE,
        notes=NOTES,
        headers=headers,
        rows=rows,
        verdicts=[_verdict(attackers, "events", 2.0), _verdict(attackers, "GETs", 3.0)],
    )


async def _beside(stage: Stage, name: str, rounds: int) -> list[Round]:
    async with stage.running(AS_DELIVERED) as running:
        since = await _cursor(running.url)
        await stage.writer.ask(count=HISTORY, burst=500)
        await asyncio.sleep(SETTLING)
        async with Dialogue(module("bench.load.visitor", running.url, network.CLIENT)) as visitor:
            await _waits(stage, running, visitor)  # warm
            return [await _round(stage, running, visitor, name, since) for _ in range(rounds)]


async def _round(stage: Stage, running: Running, visitor: Dialogue, name: str, since: str) -> Round:
    quiet = await _waits(stage, running, visitor)
    mongods = [] if stage.mongod is None else [stage.mongod]

    def used() -> list[float]:
        return [cpu_seconds([running.server]), sum(map(cpu_seconds_with_ended_threads, mongods))]

    before, began = used(), perf_counter()
    stranger, port = next(_strangers), urlsplit(running.url).port or 0
    host = urlsplit(running.url).hostname or ""
    busy = neighbour(name, host, stranger) if name in NEIGHBOURS else attacking(running.url, name, since, stranger)
    async with busy, only_from({stranger, network.CLIENT}, port):
        loud = await _waits(stage, running, visitor)
        seconds = perf_counter() - began
        spent = [(now - was) / seconds for now, was in zip(used(), before, strict=True)]
    await asyncio.sleep(SETTLING)
    return Round(quiet, loud, *spent)


async def _waits(stage: Stage, running: Running, visitor: Dialogue) -> Waits:
    """Write and listen, and ask meanwhile."""
    await stage.listener.ask(
        do="open", url=running.url, count=1, protocol="orders-websocket", groups=CUSTOMER, source=network.CLIENT
    )
    await stage.listener.ask(do="begin", timing=True)
    asking = asyncio.create_task(visitor.ask(do="visit", seconds=SECONDS))
    written = await stage.writer.ask(count=EVENTS, rate=RATE)
    try:
        await stage.listener.ask(do="complete", events=EVENTS, seconds=30)
        events = (await stage.listener.ask(do="latency", acknowledged=written["acknowledged"]))["p99"]
    except RuntimeError:
        events = math.inf
    try:
        asked = await asking
        gets = math.inf if asked["failed"] else asked["p99"]
    except RuntimeError:
        gets = math.inf
    return {"events": events, "GETs": gets}


async def _cursor(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/api/orders?limit=1") as response:
        return response.headers["Stream-Cursor"]


def _ratio(rounds: Sequence[Round], what: What) -> float:
    return median(one.loud[what] / one.quiet[what] for one in rounds)


def _row(name: str, rounds: Sequence[Round]) -> list[str]:
    cells = [name.replace("-", " ")]
    for what in KINDS:
        quiet, loud = median(one.quiet[what] for one in rounds), median(one.loud[what] for one in rounds)
        cells += [f"{_milliseconds(quiet)} → {_milliseconds(loud)} ms", f"{_times(_ratio(rounds, what))} ×"]
    return [*cells, f"{median(one.gateway for one in rounds):.0%}", f"{median(one.mongodb for one in rounds):.0%}"]


def _milliseconds(seconds: float) -> str:
    return _times(seconds * 1000)


def _times(number: float) -> str:
    return "∞" if number == math.inf else f"{number:,.1f}"


def _verdict(found: dict[str, list[Round]], what: What, limit: float) -> Verdict:
    worst = max(found, key=lambda name: _ratio(found[name], what))
    return Verdict(
        measure=f"a bystander's {what} p99, beside the worst of {len(found)} attackers ({worst.replace('-', ' ')})",
        target=f"≤ {limit:.0f} × without",
        reached=_ratio(found[worst], what),
        limit=limit,
    )
