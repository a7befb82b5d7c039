"""Writes docs/benchmarks.md and its charts."""

from collections.abc import Sequence
from pathlib import Path

from bench.plan import Plan
from bench.report.plot import svg
from bench.report.section import Section
from bench.report.table import table, verdicts

INTRODUCTION = """# Benchmarks

Written by `make bench`, which measures this project against what people would use instead, in one run on one machine.
Wall-clock times are noisy on a shared machine, so the comparisons use CPU time, as the operating system accounts it to
the server's process, and ratios within one run. Each figure is the median of {rounds} rounds in alternating order
({more_rounds} for latency and REST, which differ more from one start of a server to the next), each ratio the median of
the rounds' ratios. In every run every client checks that it got each event once, in order and with the right checksum;
if one did not, the run is an error and has no result. Where the system allows it, everything runs in a network
namespace of its own, because the rules of the machine's firewall, or of Docker, cost time for each packet.

The peers are in `bench/peers`: *node-seed* (Express, Socket.IO and the MongoDB driver in one process), *node-redis*
(Socket.IO in a process of its own, connected to the reader of the change stream by Socket.IO's adapter for Redis
streams, with connection state recovery), *python-socketio* (on aiohttp and uvloop) and, as the yardstick in C, *nchan*
(a module of nginx; bare websockets, no protocol on them). Only node-redis and nchan let a client recover missed events.
"""


def write(path: Path, machine: Sequence[str], sections: Sequence[Section], plan: Plan) -> None:
    """Write the page and, in a folder beside it, the charts."""
    folder = path.with_suffix("")
    introduction = INTRODUCTION.format(rounds=plan.rounds, more_rounds=plan.more_rounds)
    parts = [introduction, "## Machine\n", *(f"- {line}" for line in machine), "\n## Targets\n"]
    parts.append(verdicts([verdict for section in sections for verdict in section.verdicts]))
    for section in sections:
        parts += [f"\n## {section.title}\n", *(f"{note}\n" for note in section.notes)]
        parts.append(table(section.headers, section.rows))
        for chart in section.charts:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{chart.name}.svg").write_text(svg(chart))
            parts.append(f"\n![{chart.title}]({folder.name}/{chart.name}.svg)")
    path.write_text("\n".join(parts) + "\n")
