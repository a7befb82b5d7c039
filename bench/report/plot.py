"""Draws a chart as SVG: lines on logarithmic axes, readable on a light and a dark page."""

import math
from collections.abc import Callable, Sequence
from html import escape

from bench.report.section import Chart

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 72, 170, 44, 56
COLORS = ("#0b7285", "#e8590c", "#5f3dc4", "#2b8a3e", "#c2255c", "#868e96")
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#343a40}.grid{stroke:#adb5bd;stroke-opacity:.4}"
    ".line{fill:none;stroke-width:2.5}@media(prefers-color-scheme:dark){text{fill:#dee2e6}}"
)


def svg(chart: Chart) -> str:
    """Return the drawing."""
    points = [point for _, line in chart.lines for point in line]
    x = _scale([point[0] for point in points], LEFT, WIDTH - RIGHT)
    y = _scale([point[1] for point in points], HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(chart.title)}</title><style>{STYLE}</style>",
        _text(LEFT, 24, f"{chart.title}, {chart.y}", weight="600"),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, chart.x, anchor="middle"),
        *_grid(points, x, y),
    ]
    for number, (name, line) in enumerate(chart.lines):
        parts += _line(name, line, COLORS[number % len(COLORS)], TOP + 20 * number, x, y)
    return "\n".join([*parts, "</svg>", ""])


def _scale(values: Sequence[float], start: float, end: float) -> Callable[[float], float]:
    low, high = math.log10(min(values)), math.log10(max(values))
    low, high = (low - 0.3, high + 0.3) if high - low < 0.6 else (low, high)
    return lambda value: start + (math.log10(value) - low) / (high - low) * (end - start)


def _grid(points: Sequence[tuple[float, float]], x: Callable[[float], float], y: Callable[[float], float]) -> list[str]:
    parts = []
    for value in sorted({point[0] for point in points}):
        parts.append(f'<line class="grid" x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(_text(x(value), HEIGHT - BOTTOM + 18, f"{value:,.4g}", anchor="middle"))
    for value in _ticks([point[1] for point in points]):
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        parts.append(_text(LEFT - 8, y(value) + 4, f"{value:,.4g}", anchor="end"))
    return parts


def _ticks(values: Sequence[float]) -> list[float]:
    low, high = min(values), max(values)
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**power for power in powers for step in (1, 2, 5)]
    return [tick for tick in ticks if low * 0.99 <= tick <= high * 1.01]


def _line(
    name: str,
    line: Sequence[tuple[float, float]],
    color: str,
    legend: float,
    x: Callable[[float], float],
    y: Callable[[float], float],
) -> list[str]:
    corners = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in line)
    dots = [f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="3.5" fill="{color}"/>' for a, b in line]
    edge = WIDTH - RIGHT + 16
    key = f'<line class="line" x1="{edge}" x2="{edge + 22}" y1="{legend:.0f}" y2="{legend:.0f}" stroke="{color}"/>'
    return [
        f'<polyline class="line" points="{corners}" stroke="{color}"/>',
        *dots,
        key,
        _text(edge + 28, legend + 4, name),
    ]


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "400") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'
