"""Alert rules, dashboard and Prometheus' configuration: in order, and about metrics that there are."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.deploy.audience import ROOT
from tools.reference import metrics

PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "orders.json"

FROM_ELSEWHERE = {
    "up",
    "orders_build_info",
    "orders:expected_replicas",  # a recording rule: deploy/prometheus/replicas.yml
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_max_fds",
    # of HAProxy's exporter
    "haproxy_backend_active_servers",
    "haproxy_process_current_connections",
    "haproxy_process_max_connections",
    "haproxy_frontend_requests_denied_total",
    "haproxy_frontend_denied_connections_total",
    # where the watcher may ask Redis for its memory
    "orders_watcher_redis_memory_bytes",
    "orders_watcher_redis_memory_limit_bytes",
}
NAME = re.compile(r"\b(?:orders|process|haproxy|up)(?:[:_][a-z_]+)?\b")


def known() -> set[str]:
    """The names that a query may use: a histogram has three."""
    names = set(FROM_ELSEWHERE)
    for name, kind, _ in metrics():
        names |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return names


def queries() -> Iterator[str]:
    dashboard: dict[str, Any] = json.loads(DASHBOARD.read_text("utf-8"))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield target["expr"]


def used(text: str) -> set[str]:
    return set(NAME.findall(re.sub(r'"[^"]*"', '""', text)))


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "alerts.yml", "replicas.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=" ".join,
)
def test_prometheus_itself_agrees(arguments: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.fail("promtool is missing: install it (Debian: apt-get install prometheus)")
    done = subprocess.run([promtool, *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_query_of_the_dashboard_uses_metrics_that_there_are() -> None:
    found = set().union(*(used(query) for query in queries()))
    assert found
    assert found - known() == set()


def test_every_alert_uses_metrics_that_there_are() -> None:
    rules = (PROMETHEUS / "alerts.yml").read_text("utf-8")
    expressions = re.findall(r"^ +expr: (?:\|\n)?(.*?)^ +(?:for|labels):", rules, re.MULTILINE | re.DOTALL)
    assert len(expressions) > 10
    assert set().union(*(used(expression) for expression in expressions)) - known() == set()


def test_the_dashboard_shows_every_metric_of_our_own() -> None:
    shown = set().union(*(used(query) for query in queries()))
    hidden = {name for name, _, _ in metrics() if not any(one.startswith(name) for one in shown)}
    # The alerts and the other panels show these better.
    assert hidden == {"orders_gateway_dependency_up", "orders_watcher_dependency_up", "orders_gateway_position_seconds"}


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken[x, y]}"
                taken[x, y] = panel["title"]
        assert place["x"] + place["w"] <= 24


def test_every_alert_is_explained_in_the_operations_manual() -> None:
    names = re.findall(r"alert: (\w+)", (PROMETHEUS / "alerts.yml").read_text("utf-8"))
    explained = (ROOT / "docs" / "operations.md").read_text("utf-8")
    assert [name for name in names if name not in explained] == []
