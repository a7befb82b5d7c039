"""The time from MongoDB's acknowledgement of a write until a client has the event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.contestants import NODE_REDIS, NODE_SEED, OURS, Contestant
from bench.measure.hops import Hops, hops
from bench.plan import Plan
from bench.report.section import Section, Verdict
from bench.rounds import alternate, ratio
from bench.stage import Stage

CONTESTANTS = (OURS, NODE_SEED, NODE_REDIS)
BARE = "bare hops"


@dataclass(frozen=True)
class Cell:
    """One load: the number of clients, and the writes a second."""

    clients: int
    rate: int

    @property
    def title(self) -> str:
        return f"{self.clients:,} client{'s' if self.clients > 1 else ''}, {self.rate:,} writes/s"


@dataclass(frozen=True)
class Percentiles:
    """Of latencies, in seconds."""

    p50: float
    p95: float
    p99: float


LEAST = 0.00005  # seconds; ratios of smaller values are meaningless, and they may be negative
ALL = [Cell(clients, rate) for clients in (1, 100, 1000) for rate in (10, 100, 1000)]
QUICK = [Cell(1, 100), Cell(100, 100)]
Found = Mapping[str, Sequence[Mapping[Cell, Percentiles]]]

NOTES = [
    """From the moment at which the writer has MongoDB's acknowledgement by the majority, to the moment at which the
client can read the event, by the kernel's time stamp (outside Linux: until it has read it), over all deliveries to all
clients, or to a hundred evenly chosen ones. Here one process holds all clients and reads them one after the other; no
server can shorten that wait, so it does not count. A negative figure means that the change stream was faster than the
acknowledgement. 1,000 clients at 1,000 writes/s are a million deliveries a second: no single process delivers so many
one by one; those rows show which server falls behind, and by how much. The process with all the clients and the server
that sends to them each run on a core of their own, as if on machines of their own; the system places all others.""",
    """The bare hops are the minimum of each step on this machine: PyMongo reading the change stream and nothing else; a
Redis client that runs a script with one PUBLISH until a raw subscriber has the message; one small websocket frame from
one process to another. All servers have the hop of the change stream, which may be negative; it is left out on both
sides of the comparison, which is stricter than counting it on both.""",
]


async def measure(stage: Stage, plan: Plan) -> Section:
    """Compare the latencies, and ours with the bare hops."""
    cells = QUICK if plan.quick else ALL

    bare: list[Hops] = []
    subjects: list[Contestant | str] = [BARE, *CONTESTANTS]

    async def one(subject: Contestant | str) -> dict[Cell, Percentiles]:
        if not isinstance(subject, str):
            return await _latencies(stage, subject, cells)
        bare.append(await hops(stage))
        return {}

    # The hops are measured in each round: how the system schedules the processes changes in the course of a run.
    _, *results = await alternate(subjects, plan.more_rounds, one, plan.progress)
    found = {contestant.name: result for contestant, result in zip(CONTESTANTS, results, strict=True)}
    rows = [_row(cell, name, runs) for cell in cells for name, runs in found.items()]
    rows += _hop_rows(bare)
    headers = ("clients and writes", "server", "p50", "p95", "p99")
    return Section(title="Latency", notes=NOTES, headers=headers, rows=rows, verdicts=_verdicts(cells, found, bare))


async def _latencies(stage: Stage, contestant: Contestant, cells: Sequence[Cell]) -> dict[Cell, Percentiles]:
    found: dict[Cell, Percentiles] = {}
    async with stage.running(contestant) as running:
        protocol = contestant.protocols["websocket"]
        clients = 0
        for cell in cells:
            if cell.clients != clients:
                clients = cell.clients
                await stage.listener.ask(do="open", url=running.url, count=clients, protocol=protocol)
                await _write(stage, 50, 100, warm=True)
            found[cell] = await _write(stage, *_amount(cell))
    return found


def _amount(cell: Cell) -> tuple[int, int]:
    if cell.clients * cell.rate > 100_000:
        return cell.rate, cell.rate  # one second is enough to see which server falls behind
    return max(50, cell.rate * 4), cell.rate


async def _write(stage: Stage, count: int, rate: int, *, warm: bool = False) -> Percentiles:
    await stage.listener.ask(do="begin", timing=not warm)
    writers = 4 if rate > 200 else 1  # one after the other would be too slow
    written = await stage.writer.ask(count=count, rate=rate, writers=writers)
    await stage.listener.ask(do="complete", events=count, seconds=120)
    if warm:
        return Percentiles(0, 0, 0)
    answer = await stage.listener.ask(do="latency", acknowledged=written["acknowledged"])
    return Percentiles(answer["p50"], answer["p95"], answer["p99"])


def _row(cell: Cell, name: str, runs: Sequence[Mapping[Cell, Percentiles]]) -> list[str]:
    found = [run[cell] for run in runs]
    medians = (median(one.p50 for one in found), median(one.p95 for one in found), median(one.p99 for one in found))
    return [cell.title, name, *(f"{seconds * 1000:,.2f} ms" for seconds in medians)]


def _hop_rows(bare: Sequence[Hops]) -> list[list[str]]:
    names = {
        "change stream": [one.change_stream for one in bare],
        "Redis": [one.redis for one in bare],
        "websocket": [one.websocket for one in bare],
        "sum": [one.change_stream + one.after_change_stream for one in bare],
    }
    return [["bare hop", name, f"{median(times) * 1000:,.2f} ms", "", ""] for name, times in names.items()]


def _verdicts(cells: Sequence[Cell], found: Found, bare: Sequence[Hops]) -> list[Verdict]:
    def p50(name: str, cell: Cell) -> list[float]:
        return [max(run[cell].p50, LEAST) for run in found[name]]

    one = Cell(1, 100)
    limits = [(one, NODE_REDIS.name, 0.8), (one, NODE_SEED.name, 2.0)]
    limits += [
        (Cell(clients, 100), name, limit)
        for clients in (100, 1000)
        for name, limit in (("node-seed", 1.0), ("node-redis", 0.7))
    ]
    verdicts = [
        Verdict(
            measure=f"latency p50, {one.title}, less the bare change stream",
            target="≤ 1.3 × the other bare hops",
            reached=ratio(
                [all_hops - hop.change_stream for all_hops, hop in zip(p50(OURS.name, one), bare, strict=True)],
                [hop.after_change_stream for hop in bare],
            ),
            limit=1.3,
        ),
        Verdict(
            measure=f"latency p99, {one.title}",
            target="≤ 1 × node-seed",
            reached=ratio([run[one].p99 for run in found[OURS.name]], [run[one].p99 for run in found[NODE_SEED.name]]),
            limit=1.0,
        ),
    ]
    return verdicts + [
        Verdict(
            measure=f"latency p50, {cell.title}",
            target=f"≤ {limit} × {name}",
            reached=ratio(p50(OURS.name, cell), p50(name, cell)),
            limit=limit,
        )
        for cell, name, limit in limits
        if cell in cells
    ]
