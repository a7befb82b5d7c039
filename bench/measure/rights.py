"""The cost of rights: a thousand clients of one right, and ten thousand subjects with a customer each."""

from dataclasses import dataclass
from statistics import median

from bench.contestants import GUARDED, GUARDED_QUIET, OURS, Contestant
from bench.cpu import cpu_seconds
from bench.plan import Plan
from bench.report.section import Section, Verdict
from bench.rounds import alternate, ratio
from bench.stage import Stage


@dataclass(frozen=True, kw_only=True)
class Crowded:
    """Subjects of so many customers in turn, and one event after the other, each of the next customer."""

    contestant: Contestant
    clients: int
    customers: int
    events: int
    warm_up: int
    rate: float

    def __str__(self) -> str:
        return f"{self.contestant}, {self.clients:,} clients"

    @property
    def deliveries(self) -> int:
        """How many clients each event goes to."""
        return self.clients // self.customers


ALONE = Crowded(contestant=OURS, clients=1000, customers=1, events=200, warm_up=50, rate=50.0)
ONE_RIGHT = Crowded(contestant=GUARDED, clients=1000, customers=1, events=200, warm_up=50, rate=50.0)
FEW = Crowded(contestant=GUARDED_QUIET, clients=100, customers=100, events=10_000, warm_up=1000, rate=500.0)
MANY = Crowded(contestant=GUARDED_QUIET, clients=10_000, customers=10_000, events=10_000, warm_up=1000, rate=500.0)

NOTES = [
    """First, a thousand clients without tokens and a thousand with one for the same customer, whose orders they all
are: what rights cost where they hide nothing. Then a customer, and a token for it, for each client: an event goes to
one of a hundred clients, or to one of ten thousand, and all others are checked to get nothing.""",
    """The pings of the second pair are turned off, for they are the cost of a connection, whatever happens. The
time has in it the `mark` that every client gets once in its twenty seconds, which says how far the stream is.""",
]


async def measure(stage: Stage, plan: Plan) -> Section:
    """Compare both pairs."""
    alone, one_right = await alternate((ALONE, ONE_RIGHT), plan.more_rounds, lambda it: cost(stage, it), plan.progress)
    few, many = await alternate((FEW, MANY), plan.rounds, lambda it: cost(stage, it), plan.progress)
    found = [(ALONE, alone), (ONE_RIGHT, one_right), (FEW, few), (MANY, many)]
    rows = [_row(crowded, median(costs)) for crowded, costs in found]
    verdicts = [
        Verdict(
            measure="single events to 1,000 clients of one right: CPU per event",
            target="≤ 1.05 × without AUTH",
            reached=ratio(one_right, alone),
            limit=1.05,
        ),
        Verdict(
            measure="10,000 subjects with a customer each: CPU per event",
            target="≤ 1.3 × 100 subjects",
            reached=ratio(many, few),
            limit=1.3,
        ),
    ]
    headers = ("clients", "customers", "deliveries per event", "CPU per event", "per delivery")
    return Section(title="Rights", notes=NOTES, headers=headers, rows=rows, verdicts=verdicts)


async def cost(stage: Stage, crowded: Crowded) -> float:
    """Return the gateway's CPU seconds per event."""
    async with stage.running(crowded.contestant) as running:
        protocol = crowded.contestant.protocols["websocket"]
        rights = crowded.contestant is not OURS
        await stage.listener.ask(
            do="open",
            url=running.url,
            count=crowded.clients,
            protocol=protocol,
            groups=crowded.customers if rights else 0,
            rights=rights,
        )
        await stage.listener.ask(do="doze")
        await _write(stage, crowded, crowded.warm_up)
        before = cpu_seconds([running.server])
        await _write(stage, crowded, crowded.events)
        return (cpu_seconds([running.server]) - before) / crowded.events


async def _write(stage: Stage, crowded: Crowded, events: int) -> None:
    await stage.listener.ask(do="begin")
    await stage.writer.ask(count=events, rate=crowded.rate, customers=crowded.customers)
    each, concerned = max(1, events // crowded.customers), min(events, crowded.customers)
    await stage.listener.ask(do="complete", events=each, groups=concerned)


def _row(crowded: Crowded, cpu: float) -> list[str]:
    return [
        str(crowded),
        f"{crowded.customers:,}",
        f"{crowded.deliveries:,}",
        f"{cpu * 1e6:,.0f} µs",
        f"{cpu / crowded.deliveries * 1e6:.2f} µs",
    ]
