"""How the cost grows with clients, with events at once, with filters, and where that stops being linear."""

from collections.abc import Sequence
from statistics import median

from bench.contestants import NODE_SEED, OURS, Contestant
from bench.measure.fanout import Load, fanout
from bench.measure.filters import cost
from bench.plan import Plan
from bench.report.section import Chart, Section
from bench.rounds import alternate
from bench.stage import Stage

CROWDS = (100, 300, 1000, 3000, 8000)
BURSTS = (1, 2, 5, 10, 20, 50)
FILTERS = (1, 10, 100, 1000)
DELIVERIES = 60_000  # per point, in some seconds
LINEAR = 1.25  # times the least cost of a delivery
ABOUT = """The cost of one delivery against the number of clients, and against the number of events written at once,
with our gateway and with node-seed; the cost of one event against the number of distinct filters among 1,000
clients."""
SPAN = """Against the number of clients the cost is linear (a delivery costs at most a quarter more than where it is
cheapest) from {ours} clients with ours, and from {seed} with node-seed. Below that, too few clients share the fixed
cost of each event."""
Line = Sequence[tuple[float, float]]


async def measure(stage: Stage, plan: Plan) -> Section:
    """Measure three curves."""
    contestants = (OURS, NODE_SEED)
    clients = [await _line(stage, plan, one, [_crowd(count) for count in CROWDS], CROWDS) for one in contestants]
    bursts = [await _line(stage, plan, one, [_burst(burst) for burst in BURSTS], BURSTS) for one in contestants]
    filters = await _filters(stage, plan)
    charts = [
        Chart(
            name="fanout-clients",
            title="CPU per delivery, single events",
            x="clients",
            y="µs",
            lines=list(zip(map(str, contestants), clients, strict=True)),
        ),
        Chart(
            name="fanout-bursts",
            title="CPU per delivery, 1,000 clients",
            x="events written at once",
            y="µs",
            lines=list(zip(map(str, contestants), bursts, strict=True)),
        ),
        Chart(
            name="filters",
            title="CPU per event, 1,000 clients",
            x="distinct filters",
            y="µs",
            lines=[("ours", filters)],
        ),
    ]
    rows = [
        *_rows("clients", "per delivery", clients),
        *_rows("events at once", "per delivery", bursts),
        *_rows("filters", "per event", [filters]),
    ]
    headers = ("against", "ours", "node-seed", "ratio")
    notes = [ABOUT, SPAN.format(ours=_linear(clients[0]), seed=_linear(clients[1]))]
    return Section(title="Growth", notes=notes, headers=headers, rows=rows, charts=charts)


def _crowd(clients: int) -> Load:
    events = max(10, min(200, DELIVERIES // clients))
    return Load(transport="websocket", clients=clients, events=events, rate=min(50.0, 40_000 / clients))


def _burst(burst: int) -> Load:
    rate = min(50 * burst, 500)
    return Load(transport="websocket", clients=1000, events=max(60, burst * 10), rate=rate, burst=burst)


async def _line(
    stage: Stage, plan: Plan, contestant: Contestant, loads: Sequence[Load], xs: Sequence[int]
) -> Sequence[tuple[float, float]]:
    results = await alternate(loads, plan.rounds, lambda load: fanout(stage, contestant, load), plan.progress)
    return [(x, median(one.server for one in found) * 1e6) for x, found in zip(xs, results, strict=True)]


async def _filters(stage: Stage, plan: Plan) -> Line:
    results = await alternate(FILTERS, plan.rounds, lambda filters: cost(stage, filters), plan.progress)
    return [(filters, median(found) * 1e6) for filters, found in zip(FILTERS, results, strict=True)]


def _linear(line: Line) -> str:
    least = min(cost for _, cost in line)
    within = [x for x, cost in line if cost <= LINEAR * least]
    return f"{min(within):,.0f} to {max(within):,.0f}"


def _rows(what: str, per: str, lines: Sequence[Line]) -> list[list[str]]:
    rows = []
    for place, (x, ours) in enumerate(lines[0]):
        other = lines[1][place][1] if len(lines) > 1 else 0.0
        rest = [f"{other:.2f} µs", f"{ours / other:.2f} ×"] if other else ["", ""]
        rows.append([f"{x:,.0f} {what}, {per}", f"{ours:.2f} µs", *rest])
    return rows
