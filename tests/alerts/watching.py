"""Brings causes about and times the alerts; asks every query of the dashboards."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from time import monotonic

from tests.alerts.scenarios import Fault
from tests.alerts.scene import Scene
from tests.waiting import until

DASHBOARDS = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards"


@dataclass(frozen=True)
class Watched:
    """One alert under one cause: the seconds until it fired, and until it stopped; or why it was not tried."""

    alert: str
    what: str
    fired: float = 0.0
    stopped: float = 0.0
    not_run: str | None = None


async def watch(scene: Scene, fault: Fault, only: str | None = None) -> list[Watched]:
    """Bring the cause about until all its alerts fire, remove it until they have stopped; fail where they do not.

    ``only``: wait for this one of its alerts.
    """
    prometheus, alerts = scene.prometheus, {only} if only else set(fault.alerts)
    if fault.needs is not None and not await prometheus.query(fault.needs):
        return [Watched(alert, fault.what, not_run=f"not run: there is no `{fault.needs}`") for alert in fault.alerts]

    async def quiet() -> bool:
        return not alerts & await prometheus.active()

    await until(quiet, f"{fault.alerts} are silent before {fault.name}", fault.longest)
    fired: dict[str, float] = {}
    stopped: dict[str, float] = {}
    began = monotonic()

    async def all_fired() -> bool:
        for alert in alerts & await prometheus.firing():
            fired.setdefault(alert, monotonic() - began)
        return set(fired) == alerts

    async def all_stopped() -> bool:
        for alert in alerts - await prometheus.firing():
            stopped.setdefault(alert, monotonic() - ended)
        return set(stopped) == alerts

    async with fault.cause(scene):
        await until(all_fired, f"{fault.alerts} fire by {fault.name}; {fired} have", fault.longest)
        ended = monotonic()
    await until(all_stopped, f"{fault.alerts} stop after {fault.name}; {stopped} have", fault.longest)
    return [Watched(alert, fault.what, fired[alert], stopped[alert]) for alert in sorted(alerts)]


def queries() -> Iterator[tuple[str, str]]:
    """Yield the title of each panel with each of its queries."""
    for path in sorted(DASHBOARDS.glob("*.json")):
        for panel in json.loads(path.read_text("utf-8"))["panels"]:
            for target in panel.get("targets", []):
                yield panel["title"], target["expr"]


async def without_data(scene: Scene) -> list[str]:
    """Return the queries that have no value."""
    return [
        f"{title}: {query}"
        for title, query in queries()
        if all(isnan(value) for value in await scene.prometheus.query(query))
    ]
