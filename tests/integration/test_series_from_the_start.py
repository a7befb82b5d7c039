"""Each labelled series is there as 0 before anything has happened, and no other can ever be born.

A counter that is born as 1 shows Prometheus no increase: the first event would raise no alert.
"""

import asyncio
from collections.abc import Iterable, Mapping
from itertools import product

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from services.common.closed_labels import ClosedLabels
from services.common.normalize import EpochReason
from services.front.connections import ConnectionRefusal, State
from services.gateway.catch_up import ServedFrom
from services.gateway.edge.incidents import DisconnectReason, IncidentKind
from services.gateway.metrics import STATUSES, GatewayMetrics
from services.gateway.replay import ReplayOutcome
from services.gateway.state_metrics import Transport
from services.gateway.subscription import Mode, ResyncReason
from services.gateway.wire.form import Form
from services.internal import exposition
from services.internal.exposition import Exposition
from services.watcher.log_metrics import TrimReason
from services.watcher.metrics import WatcherDependency, WatcherMetrics
from tests.conftest import RunService
from tests.service_process import ServiceProcess

Values = frozenset[str]
"""Of the labels of one series; a scrape sorts them by name."""


def each(*labels: Iterable[str]) -> set[Values]:
    return {frozenset(map(str, values)) for values in product(*labels)}


DEPENDENCIES = ("mongodb", "redis")
MODES = [mode.value for mode in Mode]
# By metric, the labels in their order with all values. A labelled metric that is missing here fails the test.
GATEWAY: Mapping[str, set[Values]] = {
    "orders_gateway_clients": each(Transport, MODES),
    "orders_gateway_connections": each(State),
    "orders_gateway_dependency_outages": each(DEPENDENCIES),
    "orders_gateway_dependency_up": each(DEPENDENCIES),
    "orders_gateway_disconnects": each(Transport, DisconnectReason),
    "orders_gateway_incidents": each(IncidentKind),
    "orders_gateway_reach_seconds": each(("ring", "log")),
    "orders_gateway_replays": each(ReplayOutcome),
    "orders_gateway_request_seconds": {
        frozenset((method, status)) for method, known in STATUSES.items() for status in known
    },
    "orders_gateway_resumes": each(ServedFrom),
    "orders_gateway_resyncs": each({*ResyncReason, *EpochReason}),
    "orders_gateway_sent_bytes": each(Transport),
}
WATCHER: Mapping[str, set[Values]] = {
    "orders_watcher_connections": each(State),
    "orders_watcher_dependency_outages": each(DEPENDENCIES),
    "orders_watcher_dependency_up": each(DEPENDENCIES),
    "orders_watcher_epochs": each(EpochReason),
    "orders_watcher_failures": each(WatcherDependency),
    "orders_watcher_log_trims": each(TrimReason),
    "orders_watcher_refusals": each(ConnectionRefusal),
}


async def scraped(service: ServiceProcess) -> list[Metric]:
    async with aiohttp.ClientSession() as session, session.get(f"{service.admin_url}/metrics") as response:
        assert response.status == 200
        return list(text_string_to_metric_families(await response.text()))


def labelled(families: Iterable[Metric]) -> dict[str, set[Values]]:
    """Return the labels' values of each family, those of buckets and of the build apart."""
    found: dict[str, set[Values]] = {}
    for family in families:
        for sample in family.samples:
            values = frozenset(value for name, value in sample.labels.items() if name != "le")
            if values and family.name != "orders_build_info":
                found.setdefault(family.name, set()).add(values)
    return found


async def test_a_fresh_gateway_and_a_fresh_watcher_show_every_series(
    run_service: RunService, mongodb_uri: str, redis_url: str
) -> None:
    settings = {"MONGODB_URI": mongodb_uri, "REDIS_URL": redis_url}
    watcher, gateway = await run_service("watcher", settings), await run_service("gateway", settings)
    of_gateway, of_watcher = await scraped(gateway), await scraped(watcher)
    assert labelled(of_gateway) == GATEWAY
    assert labelled(of_watcher) == WATCHER
    for service, families in (("gateway", of_gateway), ("watcher", of_watcher)):
        [build] = [sample for family in families for sample in family.samples if sample.name == "orders_build_info"]
        assert build.labels["service"] == service
        assert build.labels["version"]
        assert build.labels["python"]
        assert build.value == 1


@pytest.mark.parametrize("metrics", [GatewayMetrics(), WatcherMetrics()], ids=["gateway", "watcher"])
def test_a_metric_with_labels_has_all_its_series_before_anything_is_counted(
    metrics: GatewayMetrics | WatcherMetrics,
) -> None:
    known = {**GATEWAY, **WATCHER}
    for family in metrics.registry.collect():
        if family.type in {"counter", "histogram"} and family.name in known:
            assert labelled([family])[family.name] == known[family.name], family.name


def test_a_value_that_is_not_known_is_refused() -> None:
    series = ClosedLabels.of(CollectorRegistry(), Counter("some", "Some.", ["kind"], registry=None), kind=IncidentKind)
    series[IncidentKind.EVICTED,].inc()
    with pytest.raises(KeyError):
        series["anything",]


@pytest.mark.parametrize("metrics", [GatewayMetrics(), WatcherMetrics()], ids=["gateway", "watcher"])
def test_no_counter_or_histogram_has_open_labels(metrics: GatewayMetrics | WatcherMetrics) -> None:
    collectors = list(metrics.registry._collector_to_names)
    assert any(isinstance(each, ClosedLabels) for each in collectors)
    opened = [each._name for each in collectors if isinstance(each, Counter | Histogram) and each._labelnames]
    assert opened == []


async def test_the_text_is_that_of_the_library_and_follows_the_figures() -> None:
    metrics = GatewayMetrics()
    shown = Exposition(metrics.registry)
    for _ in range(3):
        metrics.incident(IncidentKind.EVICTED)
        metrics.resumed(ServedFrom.RING)
        metrics.disconnected(Form.SSE_PLAIN, DisconnectReason.PING_TIMEOUT)
        text = (await shown.text()).decode()
        stable = [line for line in text.splitlines() if not line.startswith("process_")]
        theirs = generate_latest(metrics.registry).decode().splitlines()
        assert stable == [line for line in theirs if not line.startswith("process_")]
    assert 'orders_gateway_incidents_total{kind="evicted"} 3.0' in stable
    assert 'orders_gateway_disconnects_total{reason="ping timeout",transport="sse"} 3.0' in stable


async def test_a_scrape_lets_the_loop_do_other_things_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposition, "SLICE_SECONDS", -1.0)  # each slice has lasted
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    metrics = GatewayMetrics()
    counting = asyncio.create_task(count())
    await Exposition(metrics.registry).text()
    counting.cancel()
    assert turns >= len(list(metrics.registry.collect()))
