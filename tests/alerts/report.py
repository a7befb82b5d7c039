"""The table of alerts in `docs/faults.md`."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.alerts.rules import FACTOR
from tests.alerts.watching import Watched
from tools.marked_part import part_between, replaced

DOCUMENT = Path(__file__).parents[2] / "docs" / "faults.md"
_INTRODUCTION = f"""\
Written by `make test-alerts`: a real Prometheus with the shipped rules watches the services, while one cause after the
other is brought about and removed. Each `for` and each range of the rules is divided by {FACTOR}; thresholds are as
shipped. *Fired after* counts from the cause, *stopped after* from its end.\
""".splitlines()
_ROW = re.compile(r"^\| `(\w+)` \| (.*) \| (.*) \| (.*) \|$", re.MULTILINE)
BEGIN, END = "<!-- alerts: made by make test-alerts -->", "<!-- alerts: end -->"


def section(watched: Sequence[Watched], queries: int, answered: int) -> str:
    """Return the part of the document between its marks, with them."""
    rows = len(watched)
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    tried = sum(one.not_run is None for one in watched)
    lines = [
        BEGIN,
        "",
        "## What raises each alert, and that it stops",
        "",
        *_INTRODUCTION,
        "",
        f"**{tried} of {rows} fired and stopped**; {answered} of {queries} dashboard queries have data; {today}.",
        "",
        "| alert | cause | fired after | stopped after |",
        "| --- | --- | ---: | ---: |",
        *map(_row, sorted(watched, key=lambda one: one.alert)),
        "",
        END,
    ]
    return "\n".join(lines)


def _row(one: Watched) -> str:
    times = f"{one.fired:.0f} s | {one.stopped:.0f} s" if one.not_run is None else f"{one.not_run} | –"
    return f"| `{one.alert}` | {one.what} | {times} |"


def rows_of(part: str) -> list[Watched]:
    """Return what the rows of this part say."""
    found = []
    for alert, what, fired, stopped in _ROW.findall(part):
        seconds = [float(cell.removesuffix(" s")) for cell in (fired, stopped) if cell.endswith(" s")]
        if len(seconds) == 2:
            found.append(Watched(alert, what, seconds[0], seconds[1]))
        else:
            found.append(Watched(alert, what, not_run=fired))
    return found


def merged(before: Sequence[Watched], again: Sequence[Watched]) -> list[Watched]:
    """Return the results with those of a run again in place of the older ones."""
    results = {(one.alert, one.what): one for one in [*before, *again]}
    return list(results.values())


def filled(document: str, part: str) -> str:
    """Return the document with this part in place of the older one, or at its end."""
    return replaced(BEGIN, END, document, part)


def part_of(document: str) -> str:
    """Return what stands between the marks, with them; empty where there is none."""
    return part_between(BEGIN, END, document)
