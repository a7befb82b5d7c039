"""Writes docs/benchmarks.md and its drawings."""

from collections.abc import Sequence
from pathlib import Path

from bench.plan import Plan
from bench.report.plot import svg
from bench.report.section import Section
from bench.report.table import table, verdicts

INTRODUCTION = """# Benchmarks

Written by `make bench`, which measures this project beside what people would use instead, in one run on one machine.
Times of the clock are noisy on a shared machine, so what counts is CPU time, by the operating system's accounts of the
server's process, and ratios within one run. Each figure is the median of {rounds} rounds in alternating order (latency
and REST, which differ more from one start of a server to the next: {more_rounds}), each ratio the median of the rounds'
ratios. In every run every client checks that it got each event once, in order and with the right checksum; a run in
which one did not is no result but an error. Where the system allows it, all runs in a network namespace of its own: the
rules of the machine's firewall, or of Docker, are work for each packet.

The peers are in `bench/peers`: *node-seed* (Express, Socket.IO and the MongoDB driver in one process), *node-redis*
(Socket.IO in a process of its own, joined to the reader of the change stream by Socket.IO's adapter for Redis streams,
with connection state recovery), *python-socketio* (on aiohttp and uvloop) and, as the yardstick in C, *nchan* (a module
of nginx; bare websockets, no protocol on them). Only node-redis and nchan let a client recover what it missed.
"""


def write(path: Path, machine: Sequence[str], sections: Sequence[Section], plan: Plan) -> None:
    """Write the page and, beside it, the drawings."""
    drawings = path.with_suffix("")
    introduction = INTRODUCTION.format(rounds=plan.rounds, more_rounds=plan.more_rounds)
    parts = [introduction, "## Machine\n", *(f"- {line}" for line in machine), "\n## Targets\n"]
    parts.append(verdicts([verdict for section in sections for verdict in section.verdicts]))
    for section in sections:
        parts += [f"\n## {section.title}\n", *(f"{note}\n" for note in section.notes)]
        parts.append(table(section.headers, section.rows))
        for chart in section.charts:
            drawings.mkdir(parents=True, exist_ok=True)
            (drawings / f"{chart.name}.svg").write_text(svg(chart))
            parts.append(f"\n![{chart.title}]({drawings.name}/{chart.name}.svg)")
    path.write_text("\n".join(parts) + "\n")
