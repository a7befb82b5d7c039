"""The shipped alert rules, with all durations shortened by one factor, so that a test need not wait for hours."""

import re
from pathlib import Path

SHIPPED = Path(__file__).parents[2] / "deploy" / "prometheus"
FACTOR = 30
SHORTEST_RANGE = 5.0  # seconds: with a scrape each second, a rate needs a few samples
SHORTEST_FOR = 1.0

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(?P<of>\bfor: |\[)(?P<number>\d+)(?P<unit>[smh])\b")


def shortened(rules: str, factor: float = FACTOR) -> str:
    """Return the rules with each `for` and each range divided by the factor; nothing else is changed."""

    def shorter(found: re.Match[str]) -> str:
        seconds = int(found["number"]) * _UNITS[found["unit"]] / factor
        least = SHORTEST_RANGE if found["of"] == "[" else SHORTEST_FOR
        return f"{found['of']}{max(least, seconds) * 1000:.0f}ms"

    return _DURATION.sub(shorter, rules)


def alert_names() -> list[str]:
    """Return the names of all shipped alerts."""
    return re.findall(r"alert: (\w+)", (SHIPPED / "alerts.yml").read_text("utf-8"))
