"""Where it pays to compress answers: what it saves on the way, and what it costs the gateway."""

from dataclasses import dataclass
from statistics import median

from bench.contestants import OURS, Running
from bench.cpu import cpu_seconds
from bench.dialogue import Dialogue, module
from bench.plan import Plan
from bench.report.section import Section, Verdict
from bench.stage import Stage

PLAIN = "identity"
CODINGS = (PLAIN, "zstd", "br", "gzip")
ORDERS = 500
CALLS = {10: 1000, 50: 600, 200: 300}  # orders in a list, and so many requests for it
CONNECTIONS = 8
LINK = 100.0  # Mbit/s that a client of an office or of a good mobile network has
NOTES = [
    """Lists of orders, asked for over keep-alive connections with each `Accept-Encoding`. The CPU time is that of the
gateway's process, its threads included. Compression pays on links that are slower than those of the last column: there
the bytes that it saves would take longer than the CPU time that it costs. The orders here resemble each other, so more
is saved than of others.""",
]


@dataclass(frozen=True)
class Cost:
    """Bytes of one answer, and CPU seconds of the gateway for it."""

    size: int
    cpu: float


async def measure(stage: Stage, plan: Plan) -> Section:
    """Compare the codings, list by list."""
    await stage.writer.ask(count=ORDERS, burst=500)
    rounds = []
    async with stage.running(OURS) as running:
        for number in range(plan.rounds):
            rounds.append(await _costs(running))
            plan.progress(f"compression, round {number + 1} of {plan.rounds}")
    found = {
        key: Cost(rounds[0][key].size, median(one[key].cpu for one in rounds)) for key in rounds[0]
    }  # the bytes are the same in each round
    longest = max(CALLS)
    return Section(
        title="Compression",
        notes=NOTES,
        headers=("list of", "coding", "bytes", "saved", "CPU per request", "pays on links below"),
        rows=[_row(found, *key) for key in found],
        verdicts=[
            Verdict(
                measure=f"compression: zstd of a list of {longest} pays on a link of {LINK:.0f} Mbit/s",
                target=f"≥ {LINK:.0f} Mbit/s",
                reached=_break_even(found, longest, "zstd"),
                limit=LINK,
                at_least=True,
                unit="Mbit/s",
            )
        ],
    )


async def _costs(running: Running) -> dict[tuple[int, str], Cost]:
    found = {}
    for limit, count in CALLS.items():
        for coding in CODINGS:
            async with Dialogue(module("bench.load.http", running.url)) as client:
                path = f"/api/orders?limit={limit}"
                await client.ask(do="prepare_encoded", connections=CONNECTIONS, path=path, coding=coding)
                await client.ask(do="call", call="GET", count=count // 4)
                before = cpu_seconds([running.server])
                answer = await client.ask(do="call", call="GET", count=count)
                found[limit, coding] = Cost(answer["bytes"], (cpu_seconds([running.server]) - before) / count)
    return found


def _break_even(found: dict[tuple[int, str], Cost], limit: int, coding: str) -> float:
    plain, coded = found[limit, PLAIN], found[limit, coding]
    return (plain.size - coded.size) * 8 / 1e6 / max(coded.cpu - plain.cpu, 1e-6)


def _row(found: dict[tuple[int, str], Cost], limit: int, coding: str) -> list[str]:
    cost = found[limit, coding]
    saved = 1 - cost.size / found[limit, PLAIN].size
    pays = "–" if coding == PLAIN else f"{_break_even(found, limit, coding):,.0f} Mbit/s"
    return [str(limit), coding, f"{cost.size:,}", f"{saved:.0%}", f"{cost.cpu * 1e6:,.0f} µs", pays]
