"""Runs the measures and reports: `python -m bench [--quick] [measure …]`. Read this first."""

import argparse
import asyncio
import resource
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from time import monotonic

from bench import network
from bench.cpu import Stolen
from bench.measure import (
    bystander,
    compression,
    connections,
    crowd,
    drain,
    fanout,
    filters,
    front,
    growth,
    latency,
    lists,
    overload,
    rest,
    rights,
    stalled,
    storm,
    way,
)
from bench.plan import Plan
from bench.report import page
from bench.report.machine import machine
from bench.report.section import Section
from bench.report.table import table, verdicts
from bench.stage import Stage, stage

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"

STOLEN = "During this measurement the hypervisor gave {:.1%} of the CPU time requested here to other machines."

Measure = Callable[[Stage, Plan], Awaitable[Section]]

MEASURES: dict[str, Measure] = {
    "fanout": fanout.measure,
    "latency": latency.measure,
    "way": way.measure,
    "drain": drain.measure,
    "filters": filters.measure,
    "rights": rights.measure,
    "connections": connections.measure,
    "storm": storm.measure,
    "stalled": stalled.measure,
    "rest": rest.measure,
    "compression": compression.measure,
    "lists": lists.measure,
    "crowd": crowd.measure,
    "bystander": bystander.measure,
    "overload": overload.measure,
    "front": front.measure,
    "growth": growth.measure,
}
CLOCKED = ("latency", "way", "bystander", "lists")  # measured in wall-clock time, not in CPU time
QUICK = ("fanout", "latency", "drain", "connections", "rest")


async def run(names: list[str], plan: Plan) -> list[Section]:
    """Measure, printing each table as soon as it is there."""
    sections = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for name in names:
            # Each on fresh servers: the data that one measure leaves behind must not slow the next.
            stolen = Stolen()
            async with stage(Path(folder) / name, pinned=name not in CLOCKED) as there:
                section = await MEASURES[name](there, plan)
            section = replace(section, notes=[*section.notes, STOLEN.format(stolen.share())])
            print(f"\n## {section.title}\n\n{table(section.headers, section.rows)}", flush=True)
            print(f"\n{section.notes[-1]}", flush=True)
            if section.verdicts:
                print(f"\n{verdicts(section.verdicts)}", flush=True)
            sections.append(section)
    return sections


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure against what people would use instead."
    )
    parser.add_argument("--quick", action="store_true", help="only the headline ratios, in two minutes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--page", type=Path, help="where to write the page; docs/benchmarks.md where all is measured")
    parser.add_argument("measures", nargs="*", choices=[*MEASURES, []], help="all by default")
    options = parser.parse_args()
    network.enter()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the servers inherit it
    started = monotonic()

    def progress(what: str) -> None:
        print(f"[{monotonic() - started:5.0f} s] {what}", flush=True)

    path = options.page or (None if options.quick or options.measures else PAGE)
    before = [] if path is None else machine()  # asks the peers for their versions, which a few measures do not need
    plan = Plan(1 if options.quick else options.rounds, options.quick, progress)
    sections = asyncio.run(run(options.measures or list(QUICK if options.quick else MEASURES), plan))
    found = [verdict for section in sections for verdict in section.verdicts]
    print(f"\n## All targets\n\n{verdicts(found)}")
    if path is not None:
        path.parent.mkdir(exist_ok=True)
        page.write(path, before, sections, plan)
        print(f"\nWritten to {path}")


if __name__ == "__main__":
    main()
