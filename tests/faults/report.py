"""The table of results: for the terminal, and as `docs/faults.md`."""

import platform
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from services.embedded.binaries import mongod_binary, valkey_binary
from tests.faults.checker import Breach
from tests.faults.scenario import Result, Scenario
from tests.waiting import HANGS

DOCUMENT = Path(__file__).parents[2] / "docs" / "faults.md"
_DESCRIPTION = re.compile(r"- \*\*[\w-]+\*\* \(")
_HEAD = (
    "scenario",
    "events",
    "clients",
    "faults",
    "time to recover",
    "lost",
    "doubled",
    "reordered",
    "shown without a right",
    "resyncs",
    "verdict",
)
_INTRODUCTION = """\
Written by `make faults`: it breaks one thing after the other in a running stack while an auditor changes orders and
watches through hundreds of clients of every kind, and then compares the events that each client got with the history
in MongoDB. *Lost*, *doubled* and *reordered* count over all clients; *shown without a right* counts orders and events
outside of the rights of a client's token (–: nobody has a token in that scenario). A *resync* (the client is told to
reload its list, and why) is a failure unless the fault explains it. *Time to recover* is the longest time from the
fault, or from its end if it is an outage, until a later write had reached every client; in brackets the promised time,
and the time that a write takes to reach all clients while nothing is broken, which shows how busy the machine was.\
""".splitlines()
_NUMBERS = range(1, 9)


def row(result: Result) -> tuple[str, ...]:
    """Return one line of the table."""
    if result.not_run is not None:
        return (result.scenario.name, *[""] * 9, result.verdict)
    unexplained = result.count(Breach.RESYNC)
    resyncs = ", ".join(f"{count} {reason}" for reason, count in sorted(result.resyncs.items())) or "0"
    return (
        result.scenario.name,
        f"{result.events:,}",
        str(result.clients),
        str(result.faults),
        _recovery(result),
        str(result.count(Breach.LOST)),
        str(result.count(Breach.DOUBLED)),
        str(result.count(Breach.REORDERED, Breach.REORDERED_ORDER)),
        str(result.count(Breach.FORBIDDEN)) if result.scenario.shape.jwt else "–",
        resyncs if not unexplained else f"{resyncs} (UNEXPLAINED: {unexplained})",
        result.verdict,
    )


def _recovery(result: Result) -> str:
    if not result.recoveries:
        return "–"
    worst = max(result.recoveries, key=lambda one: one.seconds)
    promised = [one.within for one in result.recoveries if one.within is not None]
    bound = f"≤ {max(promised):g} + " if promised else "usual "
    return f"{worst.seconds:.1f} s ({bound}{worst.usual:.1f})"


def line(result: Result) -> str:
    """Return one result for the terminal."""
    name, events, clients, faults, recovery, lost, doubled, reordered, forbidden, resyncs, verdict = row(result)
    if result.not_run is not None:
        return f"{name:38} {verdict}"
    return (
        f"{name:38} {events:>7} events {clients:>4} clients {faults:>3} faults  recovered {recovery:16} lost {lost} "
        f"doubled {doubled} reordered {reordered} without a right {forbidden} resyncs {resyncs}  {verdict}  "
        f"({result.seconds:.0f} s)"
    )


def details(result: Result, most: int = 12) -> list[str]:
    """Return the findings as lines, the first few of each kind."""
    lines = []
    for breach in Breach:
        found = [finding for finding in result.findings if finding.breach is breach]
        lines += [f"    {breach.value}: {finding.who}: {finding.what}" for finding in found[:most]]
        if len(found) > most:
            lines.append(f"    {breach.value}: … {len(found) - most} more")
    return lines


def document(results: Sequence[Result], seed: int) -> str:
    """Return the whole of `docs/faults.md`."""
    clean = sum(result.clean for result in results)
    not_run = sum(result.not_run is not None for result in results)
    seconds = sum(result.seconds for result in results)
    lines = [
        "# What happens when things break",
        "",
        *_INTRODUCTION,
        "",
        f"**{clean} of {len(results)} clean**"
        + (f", **{not_run} not run**" if not_run else "")
        + f"; seed {seed}; {datetime.now(UTC):%Y-%m-%d}; {seconds / 60:.0f} minutes.",
        "",
        f"Machine: {_machine()}.",
        "",
        *_table(results),
        "",
        "What each scenario does, and the rows of the fault matrix that it covers:",
        "",
        *(_description(one.scenario) for one in results),
        "",
    ]
    failed = [result for result in results if result.findings]
    if failed:
        lines += ["What was found:", ""]
        lines += [text for one in failed for text in (f"- **{one.scenario.name}**", "", *details(one, 3), "")]
    return "\n".join(lines)


def parts(document: str) -> tuple[str, str]:
    """Split the document into what this suite writes, and what other commands add behind it, between marks."""
    ours, mark, others = document.partition("\n<!-- ")
    return ours, mark + others


def amended(document: str, results: Sequence[Result], seed: int) -> str:
    """Return the document with the lines of these results in place of the older ones; new scenarios come last."""
    lines = document.splitlines()
    for result in results:
        line = _cells(row(result))
        if not any(old.startswith(f"| {result.scenario.name} |") for old in lines):
            last = max(number for number, old in enumerate(lines) if old.startswith("| "))
            lines.insert(last + 1, line)
            last = max(number for number, old in enumerate(lines) if _DESCRIPTION.match(old))
            lines.insert(last + 1, _description(result.scenario))
        lines = [line if old.startswith(f"| {result.scenario.name} |") else old for old in lines]
        if not result.findings:
            lines = _without(lines, f"- **{result.scenario.name}**")
    verdicts = [line.rsplit("|", 2)[1].strip() for line in _rows(lines)]
    clean, not_run = verdicts.count("clean"), sum(verdict.startswith("NOT RUN") for verdict in verdicts)
    names = ", ".join(result.scenario.name for result in results)
    again = f"Run again with seed {seed} on {datetime.now(UTC):%Y-%m-%d}: {names}."
    at = next(number for number, line in enumerate(lines) if " clean**" in line)
    missing = f", **{not_run} not run**" if not_run else ""
    lines[at] = f"**{clean} of {len(verdicts)} clean**{missing}; " + lines[at].split("; ", 1)[1]
    return "\n".join([*lines[: at + 1], "", again, *lines[at + 1 :], ""])


def _description(scenario: Scenario) -> str:
    return f"- **{scenario.name}** ({scenario.rows}): {scenario.about}."


def _rows(lines: Sequence[str]) -> list[str]:
    table = [line for line in lines if line.startswith("| ")]
    return table[2:]  # after the head and its rule


def _without(lines: list[str], title: str) -> list[str]:
    """Leave out a scenario's findings, from its title to the next one; and the heading, if none remain."""
    if title not in lines:
        return lines
    start = lines.index(title)
    later = [number for number in range(start + 1, len(lines)) if lines[number].startswith("- **")]
    lines = lines[:start] + lines[later[0] if later else len(lines) :]
    return lines[:-2] if lines[-2:] == ["What was found:", ""] else lines


def _table(results: Sequence[Result]) -> list[str]:
    rule = ["---:" if number in _NUMBERS else "---" for number in range(len(_HEAD))]
    rows = [_HEAD, rule, *map(row, results)]
    return [_cells(cells) for cells in rows]


def _cells(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _machine() -> str:
    cpu = "unknown processor"
    cores = 0
    for text in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if text.startswith("model name"):
            cpu, cores = text.split(":", 1)[1].strip(), cores + 1
    mongod = _first_line(str(mongod_binary()), "--version")
    valkey = _first_line(str(valkey_binary()), "--version").split(" sha")[0]
    return (
        f"{cores} × {cpu}, Linux {platform.release()}, Python {platform.python_version()}, MongoDB {mongod}, {valkey}"
    )


def _first_line(*command: str) -> str:
    reply = subprocess.run(command, capture_output=True, text=True, check=False, timeout=HANGS)
    return reply.stdout.partition("\n")[0].removeprefix("db version ")
