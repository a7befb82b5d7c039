"""The results of `make test-compose`: lines for the terminal, and the table in docs/faults.md."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.deploy.audience import ROOT, Tally
from tests.deploy.rows import Row
from tools.marked_part import part_between, replaced

DOCUMENT = ROOT / "docs" / "faults.md"
BEGIN, END = "<!-- compose: made by make test-compose -->", "<!-- compose: end -->"
_HEAD = "| row | requests | refused | events | lost | doubled | resyncs | also | verdict |"
_RULE = "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |"
_INTRODUCTION = """\
## The compose stack

Written by `make test-compose`: it starts `compose.yaml` for real and does one thing after the other to it, while 20
requests a second (every third of which makes an order) and clients of every transport go through the load balancer.
*Refused* are the requests that were not answered with success, *lost* and *doubled* count the events of all clients.\
"""


@dataclass
class Outcome:
    """What was counted in one row."""

    row: Row
    sent: int = 0
    refused: Sequence[str] = ()
    tally: Tally = field(default_factory=lambda: Tally(0, 0, 0, 0, ()))
    note: str = ""
    failure: str = ""
    not_run: str = ""
    seconds: float = 0

    @property
    def faults(self) -> list[str]:
        """What the row does not allow."""
        found = [self.failure] if self.failure else []
        if self.refused and not self.row.refuses:
            kinds = Counter(answer[:120] for answer in self.refused).most_common(4)
            found.append(
                f"{len(self.refused)} requests refused: {'; '.join(f'{count} {kind}' for kind, count in kinds)}"
            )
        counts = {what: getattr(self.tally, what) for what in ("lost", "doubled", "reordered")}
        found += [f"{count} events {what}" for what, count in counts.items() if count]
        if self.tally.resyncs and not self.row.resyncs:
            found.append(f"resyncs: {', '.join(sorted(set(self.tally.resyncs)))}")
        return found

    def cells(self) -> list[str]:
        """Return the line of the table."""
        allowed = " (allowed)" if self.refused and self.row.refuses else ""
        tally = self.tally
        return [
            self.row.name,
            f"{self.sent:,}",
            f"{len(self.refused):,}{allowed}",
            f"{tally.events:,}",
            str(tally.lost),
            str(tally.doubled),
            str(len(tally.resyncs)),
            self.not_run or self.note,
            "NOT RUN" if self.not_run else "FAILED" if self.faults else "clean",
        ]


def line(outcome: Outcome) -> str:
    """Return one outcome for the terminal."""
    name, sent, refused, events, lost, doubled, resyncs, note, verdict = outcome.cells()
    told = (
        f"{name:26} {sent:>5} requests {refused} refused, {events:>5} events {lost} lost {doubled} doubled "
        f"{resyncs} resyncs, {outcome.seconds:.0f} s: {verdict}{f' ({note})' if note else ''}"
    )
    return "\n".join([told, *(f"    {fault}" for fault in outcome.faults)])


def amended(document: str, outcomes: Sequence[Outcome], all_rows: Sequence[Row], machine: str) -> str:
    """Return the document with these outcomes; the lines of rows that were not run stay."""
    inside = part_between(BEGIN, END, document)
    lines = {line.split(" | ")[0].strip("| "): line for line in inside.splitlines() if line.startswith("| ")}
    lines.update({one.row.name: f"| {' | '.join(one.cells())} |" for one in outcomes})
    table = [lines[row.name] for row in all_rows if row.name in lines]
    text = [
        BEGIN,
        "",
        _INTRODUCTION,
        "",
        f"Last run on {datetime.now(UTC):%Y-%m-%d}, {machine}.",
        "",
        _HEAD,
        _RULE,
        *table,
        "",
        "What is done:",
        "",
        *(f"- **{row.name}**: {row.about}." for row in all_rows if row.name in lines),
        "",
        END,
    ]
    return replaced(BEGIN, END, document, "\n".join(text))
