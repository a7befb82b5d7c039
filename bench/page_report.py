"""Writes docs/page.md: what was measured of the page, against its targets."""

import os
from collections.abc import Sequence

from bench.browser import ColdLoad, Flow
from bench.page_pictures import SCREENS
from bench.page_writer import RATE
from bench.report.section import Verdict
from bench.report.table import table, verdicts

INTRODUCTION = """# The page, measured

Written by `make bench-page`: Chromium, headless and without a graphics processor, shows the page in a window of
1360 × 900 while {rate:.0f} orders a second are written straight to MongoDB (half of the writes change an order, a third
insert one, the rest delete one), for {seconds:.0f} s each. Database, Redis, watcher, gateway, the writing program and
the browser share the {cores} cores of one machine. A click is answered once the frame after its handlers has been
painted. The heap is what is left after garbage collection. The load average was {load:.1f} before
and {load_after:.1f} after: other programs ran too.
"""

HEADERS = ("", "frames/s", "click, median", "click, p95", "heap before", "heap after", "page = database")


def row_of(name: str, flow: Flow, same: bool) -> list[str]:
    times = [
        f"{flow.click:.0f} ms",
        f"{flow.click95:.0f} ms",
        f"{flow.heap_before:.1f} MB",
        f"{flow.heap_after:.1f} MB",
    ]
    return [name, f"{flow.frames:.0f}", *times, "yes" if same else "**no**"]


def row_of_cold(cold: ColdLoad) -> list[list[str]]:
    return [
        [
            "cold load",
            f"{cold.requests} requests",
            f"{cold.kilobytes:.0f} kB",
            f"first row {cold.first_row:.0f} ms",
            "",
            "",
            "",
        ]
    ]


def targets(name: str, flow: Flow, same: bool) -> list[Verdict]:
    return [
        Verdict(
            measure=f"frames a second, {name}",
            target="≥ 30",
            reached=round(flow.frames, 1),
            limit=30,
            at_least=True,
            unit="",
        ),
        Verdict(
            measure=f"click to response, {name}, median",
            target="≤ 100 ms",
            reached=round(flow.click),
            limit=100,
            unit="ms",
        ),
        Verdict(
            measure=f"click to response, {name}, p95",
            target="≤ 250 ms",
            reached=round(flow.click95),
            limit=250,
            unit="ms",
        ),
        Verdict(
            measure=f"growth of the heap, {name}",
            target="≤ 3 MB",
            reached=round(flow.heap_after - flow.heap_before, 1),
            limit=3,
            unit="MB",
        ),
        Verdict(measure=f"page = database, {name}", target="yes", reached=int(same), limit=1, at_least=True, unit=""),
    ]


def cold_targets(cold: ColdLoad) -> list[Verdict]:
    return [
        Verdict(measure="requests of a cold load", target="≤ 12", reached=cold.requests, limit=12, unit=""),
        Verdict(
            measure="bytes of a cold load", target="≤ 90 kB", reached=round(cold.kilobytes, 1), limit=90, unit="kB"
        ),
        Verdict(
            measure="first row on slow 4G", target="≤ 1,000 ms", reached=round(cold.first_row), limit=1000, unit="ms"
        ),
    ]


def report(rows: Sequence[Sequence[str]], found: Sequence[Verdict], seconds: float, load: float) -> str:
    """Return docs/page.md."""
    introduction = INTRODUCTION.format(
        rate=RATE, seconds=seconds, cores=os.cpu_count(), load=load, load_after=os.getloadavg()[0]
    )
    pictures = "\n".join(f"![{name}]({name}.png)" for name in SCREENS)
    return f"{introduction}\n{verdicts(found)}\n\n{table(HEADERS, rows)}\n\n## What it looks like\n\n{pictures}\n"
