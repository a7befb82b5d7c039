"""How many REST requests a second of CPU time answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from bench.contestants import NODE_SEED, OURS, Contestant, Running
from bench.cpu import cpu_seconds
from bench.dialogue import Dialogue, module
from bench.plan import Plan
from bench.report.section import Section, Verdict
from bench.rounds import alternate, ratio
from bench.stage import Stage

CONNECTIONS = 16
CALLS = {"GET one": 3000, "GET list of 50": 1000, "POST": 2000}
OURS_ONLY = {"POST with key": 2000, "batch of 100": 200}  # which node-seed does not have
WARM_UP = {"batch of 100": 50}
ALONE = {"POST": 600, "batch of 100": 100}  # over one connection
NOTES = [
    f"""Over {CONNECTIONS} keep-alive connections, each of which sends the next request as soon as it has its answer,
for an order of its own; every answer's status and length are checked. CPU time is that of the server's process. Our
reads are of a snapshot and give its cursor; node-seed's are plain ones. Our gateway reads orders that are requested at
the same moment with one query, and stores orders that come together in one transaction, those with keys together with
their answers; an order that comes alone (`alone`: over one connection) is a command of its own. It does two batches of
one address at a time, so what a batch takes beside a POST is measured over one connection, too.""",
]


@dataclass(frozen=True)
class Rest:
    """CPU seconds per request, and requests per second of wall-clock time."""

    cpu: float
    rate: float


async def measure(stage: Stage, plan: Plan) -> Section:
    """Compare ours with node-seed, call by call."""
    await stage.writer.ask(count=200, burst=200)
    contestants = (OURS, NODE_SEED)
    results = await alternate(contestants, plan.more_rounds, lambda one: _calls(stage, one, plan), plan.progress)
    rows = [_row(call, one, found) for call in CALLS for one, found in zip(contestants, results, strict=True)]
    rows += [_row(call, OURS, results[0]) for call in [*OURS_ONLY, *map(_alone, ALONE)]]
    ours, seed = results
    verdicts = [
        Verdict(
            measure=f"REST, {call}: requests per CPU second",
            target="≥ 1.0 × node-seed",
            reached=ratio([found[call].cpu for found in seed], [found[call].cpu for found in ours]),
            limit=1.0,
            at_least=True,
        )
        for call in CALLS
    ]
    verdicts += [
        _beside(ours, "POST", "POST with key", 1.5),
        _beside(ours, _alone("POST"), _alone("batch of 100"), 10.0),
    ]
    headers = ("call", "server", "CPU per request", "requests per CPU second", "requests/s")
    return Section(title="REST", notes=NOTES, headers=headers, rows=rows, verdicts=verdicts)


async def _calls(stage: Stage, contestant: Contestant, plan: Plan) -> dict[str, Rest]:
    found = {}
    async with (
        contestant.running(stage.mongodb_uri, stage.redis_url, stage.new_folder(contestant.name)) as running,
        Dialogue(module("bench.load.http", running.url)) as client,
    ):
        await client.ask(do="prepare", connections=CONNECTIONS)
        calls = {**CALLS, **OURS_ONLY} if contestant is OURS else CALLS
        for call, count in calls.items():
            requests = count // 2 if plan.quick else count
            warm_up = WARM_UP.get(call, max(1500, requests))  # of the just-in-time compiler
            await client.ask(do="call", call=call, count=warm_up)
            found[call] = await _call(client, running, call, requests)
        if contestant is OURS:
            async with Dialogue(module("bench.load.http", running.url)) as single:
                await single.ask(do="prepare", connections=1)
                for call, count in ALONE.items():
                    await single.ask(do="call", call=call, count=count // 4)
                    found[_alone(call)] = await _call(single, running, call, count)
    return found


async def _call(client: Dialogue, running: Running, call: str, requests: int) -> Rest:
    before = cpu_seconds([running.server])
    answer = await client.ask(do="call", call=call, count=requests)
    cpu = cpu_seconds([running.server]) - before
    return Rest(cpu / requests, requests / answer["seconds"])


def _alone(call: str) -> str:
    return f"{call}, alone"


def _beside(ours: Sequence[dict[str, Rest]], plain: str, call: str, limit: float) -> Verdict:
    return Verdict(
        measure=f"REST, {call}: its time beside that of {plain}",
        target=f"≤ {limit:g} × POST",
        reached=ratio([1 / found[call].rate for found in ours], [1 / found[plain].rate for found in ours]),
        limit=limit,
    )


def _row(call: str, contestant: Contestant, found: Sequence[dict[str, Rest]]) -> list[str]:
    cpu = median(one[call].cpu for one in found)
    rate = median(one[call].rate for one in found)
    return [call, contestant.name, f"{cpu * 1e6:,.0f} µs", f"{1 / cpu:,.0f}", f"{rate:,.0f}"]
