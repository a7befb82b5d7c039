"""The cost of filters: a thousand clients share one filter or ten, or have one each."""

from collections.abc import Sequence
from statistics import median

from bench.contestants import OURS
from bench.cpu import cpu_seconds
from bench.plan import Plan
from bench.report.section import Section
from bench.rounds import alternate
from bench.stage import Stage

CLIENTS = 1000
EVENTS = 1000  # a multiple of each number of filters
FILTERS = (1, 10, 1000)
NOTES = [
    """Every client filters by one customer; every order is of one of these customers, in turn. With one filter each
event goes to all clients, with a thousand to one of them: then the cost per event is that of finding the recipient.
There is no peer: none of them filters.""",
]


async def measure(stage: Stage, plan: Plan) -> Section:
    """Measure each number of filters."""
    results = await alternate(FILTERS, plan.rounds, lambda filters: cost(stage, filters), plan.progress)
    rows = [_row(filters, median(found)) for filters, found in zip(FILTERS, results, strict=True)]
    headers = ("distinct filters", "deliveries per event", "CPU per event", "per delivery")
    return Section(title="Filters, 1,000 clients", notes=NOTES, headers=headers, rows=rows)


async def cost(stage: Stage, filters: int) -> float:
    """Return the gateway's CPU seconds per event."""
    async with stage.running(OURS) as running:
        protocol = OURS.protocols["websocket"]
        await stage.listener.ask(do="open", url=running.url, count=CLIENTS, protocol=protocol, groups=filters)
        await _write(stage, filters, events=filters)
        before = cpu_seconds([running.server])
        await _write(stage, filters, events=EVENTS)
        return (cpu_seconds([running.server]) - before) / EVENTS


async def _write(stage: Stage, filters: int, events: int) -> None:
    await stage.listener.ask(do="begin")
    await stage.writer.ask(count=events, rate=60.0 if filters == 1 else 200.0, customers=filters)
    await stage.listener.ask(do="complete", events=events // filters)


def _row(filters: int, cpu: float) -> Sequence[str]:
    each = CLIENTS // filters
    return [f"{filters:,}", f"{each:,}", f"{cpu * 1e6:,.0f} µs", f"{cpu / each * 1e6:.2f} µs"]
