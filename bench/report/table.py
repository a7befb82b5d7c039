"""Tables in Markdown, which read well in a terminal too."""

from collections.abc import Sequence

from bench.report.section import Verdict


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose columns line up; the first one to the left, the others to the right."""
    widths = [max(len(row[column]) for row in (headers, *rows)) for column in range(len(headers))]
    rule = [("-" * width if column == 0 else "-" * (width - 1) + ":") for column, width in enumerate(widths)]
    lines = [_line(headers, widths), _line(rule, widths), *(_line(row, widths) for row in rows)]
    return "\n".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.ljust(width) if not column else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |"


def verdicts(found: Sequence[Verdict]) -> str:
    """Return the table of targets."""
    rows = [
        (verdict.measure, verdict.target, _number(verdict), "reached" if verdict.met else "**missed**")
        for verdict in found
    ]
    return table(("measure", "target", "measured", "verdict"), rows)


def _number(verdict: Verdict) -> str:
    return f"{verdict.reached:.2f} ×" if verdict.unit == "×" else f"{verdict.reached:,.6g} {verdict.unit}".strip()
