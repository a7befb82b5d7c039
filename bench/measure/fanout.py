"""The CPU time of delivering one event to one client."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from time import perf_counter

from bench.contestants import NCHAN, NODE_REDIS, NODE_SEED, OURS, PYTHON_SOCKETIO, Contestant, is_installed
from bench.cpu import cpu_seconds
from bench.plan import Plan
from bench.report.section import Section, Verdict
from bench.rounds import alternate, ratio
from bench.stage import Stage


@dataclass(frozen=True, kw_only=True)
class Load:
    """The number of clients, and the writes: ``events`` orders, in bursts, ``rate`` orders a second."""

    transport: str
    clients: int
    events: int
    rate: float
    burst: int = 1

    def __str__(self) -> str:
        return self.title

    @property
    def title(self) -> str:
        what = "single events" if self.burst == 1 else f"bursts of {self.burst}"
        return f"{self.transport}, {self.clients:,} clients, {what}"


@dataclass(frozen=True)
class Result:
    """CPU seconds per delivery: of the process with the clients, and of all the contestant's processes."""

    server: float
    all_processes: float
    busy: float  # share of one core that the server used


async def fanout(stage: Stage, contestant: Contestant, load: Load) -> Result:
    """Measure one contestant once."""
    async with stage.running(contestant) as running:
        protocol = contestant.protocols[load.transport]
        await stage.listener.ask(do="open", url=running.url, count=load.clients, protocol=protocol)
        await stage.listener.ask(do="doze")
        await _write(stage, _warm_up(load))
        pids = [running.server, *running.others]
        before, server, started = cpu_seconds(pids), cpu_seconds([running.server]), perf_counter()
        finished = await _write(stage, load)
        spent, server = cpu_seconds(pids) - before, cpu_seconds([running.server]) - server
    deliveries, seconds = load.clients * load.events, finished - started
    return Result(server / deliveries, spent / deliveries, server / seconds)


async def _one(stage: Stage, load: Load, contestant: Contestant) -> Result:
    return await fanout(stage, contestant, _scaled(load, contestant))


def _warm_up(load: Load) -> Load:
    """Return a load of fifty thousand deliveries: the first ones cost more, above all with just-in-time compilation."""
    events = max(50_000 // load.clients // load.burst, 3) * load.burst
    return replace(load, events=events, rate=max(load.rate, min(500.0, 40_000 / load.clients * load.burst)))


async def _write(stage: Stage, load: Load) -> float:
    await stage.listener.ask(do="begin")
    await stage.writer.ask(count=load.events, rate=load.rate, burst=load.burst)
    finished: float = (await stage.listener.ask(do="complete", events=load.events))["finished"]
    return finished


SINGLE = Load(transport="websocket", clients=1000, events=200, rate=50)
BURSTS = Load(transport="websocket", clients=1000, events=1000, rate=500, burst=10)
LOADS = (
    SINGLE,
    BURSTS,
    replace(BURSTS, burst=50),
    replace(SINGLE, transport="sse"),
    replace(BURSTS, transport="sse"),
    replace(SINGLE, clients=5000, events=50, rate=8),
    replace(BURSTS, clients=5000, events=200, rate=80),
    replace(SINGLE, clients=5000, events=50, rate=8, transport="sse"),
)
NOTES = [
    """Orders are written to MongoDB at a fixed rate, the same for all, that every server can follow. The figure is the
CPU time of the process that has the clients (in brackets: of all processes of the contestant), divided by events times
clients. For node-seed that includes reading the change stream, which is a thousandth of it; our watcher and
node-redis's source are in the brackets. The rate is the pace of the writer, not the limit of the server; the last
column derives that limit from the CPU time.""",
    """On the loopback device the kernel does much of the receiver's work in the sender's time, which does not happen
with clients on machines of their own. So the clients read at intervals of a few milliseconds, and are not woken by each
event; and they acknowledge data when they read it. nchan gets one request before each websocket is opened: nginx turns
Nagle's algorithm off only for a connection that was used before, and with it nchan sends several events as one packet
some milliseconds later, which costs it half as much with single events and a third with bursts.""",
]


async def measure(stage: Stage, plan: Plan) -> Section:
    """Compare all servers under each load."""
    rows: list[list[str]] = []
    verdicts: list[Verdict] = []
    for load in (SINGLE, BURSTS) if plan.quick else LOADS:
        names = [one for one in (OURS, NODE_SEED, PYTHON_SOCKETIO, NODE_REDIS, NCHAN) if _takes_part(one, load)]
        if plan.quick:
            names = [one for one in names if one is OURS or one.name in _limits(load)]
        results = await alternate(names, plan.rounds, partial(_one, stage, load), plan.progress)
        by_name = {one.name: found for one, found in zip(names, results, strict=True)}
        rows += [_row(load, name, by_name) for name in by_name]
        verdicts += _verdicts(load, by_name)
    headers = ("load", "server", "CPU per delivery", "to ours", "busy", "deliveries/s at 100 %")
    return Section(title="Fan-out", notes=NOTES, headers=headers, rows=rows, verdicts=verdicts)


def _takes_part(contestant: Contestant, load: Load) -> bool:
    if load.transport not in contestant.protocols or not is_installed(contestant):
        return False
    if contestant is PYTHON_SOCKETIO:
        return load == SINGLE
    return load.clients <= 1000 or contestant is not NODE_REDIS


def _scaled(load: Load, contestant: Contestant) -> Load:
    """Slow the load down for the server that could not keep up; its cost per delivery is the same."""
    if contestant is PYTHON_SOCKETIO:  # nothing there is compiled just in time
        return replace(load, events=load.events // 5, rate=load.rate / 10)
    return load


def _row(load: Load, name: str, by_name: Mapping[str, Sequence[Result]]) -> list[str]:
    found = by_name[name]
    server = median(result.server for result in found)
    whole = median(result.all_processes for result in found)
    times = ratio(_server(found), _server(by_name[OURS.name]))
    busy = median(result.busy for result in found)
    return [
        load.title,
        name,
        f"{server * 1e6:.2f} µs ({whole * 1e6:.2f})",
        f"{times:.2f} ×",
        f"{busy:.0%}",
        f"{1 / server:,.0f}",
    ]


def _limits(load: Load) -> Mapping[str, float]:
    """Return the most that ours may cost, as a share of each peer's cost."""
    if load.burst > 1:
        return {NODE_SEED.name: 0.15}
    return {NODE_SEED.name: 0.5, PYTHON_SOCKETIO.name: 0.12, NCHAN.name: 1.3}


def _verdicts(load: Load, by_name: Mapping[str, Sequence[Result]]) -> list[Verdict]:
    return [
        Verdict(
            measure=f"fan-out, {load.title}: CPU per delivery",
            target=f"≤ {limit} × {name}",
            reached=ratio(_server(by_name[OURS.name]), _server(by_name[name])),
            limit=limit,
        )
        for name, limit in _limits(load).items()
        if name in by_name
    ]


def _server(found: Sequence[Result]) -> list[float]:
    return [result.server for result in found]
