"""The metrics of both services, under some load."""

from collections.abc import Mapping

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import OwnValkey, RunService
from tests.deploy.audience import EVERY_TRANSPORT, audience
from tests.deploy.orders import create
from tests.service_process import ServiceProcess
from tests.waiting import until

Figures = Mapping[tuple[str, frozenset[str]], float]


async def scrape(service: ServiceProcess) -> Figures:
    """Return all samples by name and the values of their labels."""
    async with aiohttp.ClientSession() as session, session.get(f"{service.admin_url}/metrics") as response:
        assert response.status == 200
        families = text_string_to_metric_families(await response.text())
        return {(one.name, frozenset(one.labels.values())): one.value for each in families for one in each.samples}


def figure(figures: Figures, name: str, *labels: str) -> float:
    return figures.get((name, frozenset(labels)), 0.0)


@pytest.fixture
async def services(run_service: RunService, mongodb_uri: str, redis_url: str) -> tuple[ServiceProcess, ServiceProcess]:
    settings = {"MONGODB_URI": mongodb_uri, "REDIS_URL": redis_url}
    watcher = await run_service("watcher", settings)
    return watcher, await run_service("gateway", settings)


async def test_no_text_of_a_client_becomes_a_label(services: tuple[ServiceProcess, ServiceProcess]) -> None:
    _, gateway = services
    async with aiohttp.ClientSession() as session:
        for method in ("PROPFIND", "MKCOL", "SEARCH", "LOCK", "M-SEARCH"):
            for path in ("/api/orders", "/api/orders-of-nobody", "/api/orders/x/y"):
                async with session.request(method, gateway.url + path) as response:
                    assert response.status in (404, 405)
    shown = await scrape(gateway)
    assert figure(shown, "orders_gateway_request_seconds_count", "other", "404") == 10
    assert not [labels for _, labels in shown if labels & {"PROPFIND", "MKCOL", "SEARCH", "LOCK", "M-SEARCH"}]


async def test_changes_clients_and_their_ends_are_counted(services: tuple[ServiceProcess, ServiceProcess]) -> None:
    watcher, gateway = services
    async with audience(gateway.url, EVERY_TRANSPORT) as crowd, aiohttp.ClientSession() as session:
        orders = [await create(session, gateway.url, number) for number in range(5)]
        await crowd.until_all_have(orders)
        shown = await scrape(gateway)
        assert figure(shown, "orders_gateway_events_total") == 5
        assert figure(shown, "orders_gateway_ring_events") == 5
        assert (
            10 <= figure(shown, "orders_gateway_deliveries_total") <= 20
        )  # to those that are live; polling is not always
        assert figure(shown, "orders_gateway_clients", "websocket", "live") == 2
        assert figure(shown, "orders_gateway_clients", "sse", "live") == 1
        assert sum(value for (name, at), value in shown.items() if name.endswith("_clients") and "polling" in at) == 1
        sent = [figure(shown, "orders_gateway_sent_bytes_total", by) for by in ("websocket", "polling", "sse")]
        assert all(size > 5 * 100 for size in sent)  # of five orders
        assert sent[0] > 1.5 * sent[2]  # two websockets, and one stream
        assert figure(shown, "orders_gateway_sessions") == 3
        assert figure(shown, "orders_gateway_admitted_connections") == 4
        assert 2 <= figure(shown, "orders_gateway_groups") <= 3  # polling is not always live
        assert figure(shown, "orders_gateway_loop_lag_seconds_count") > 10
        assert figure(shown, "orders_gateway_request_seconds_count", "POST", "201") == 5
        assert figure(shown, "orders_gateway_dependency_up", "redis") == 1
        assert figure(shown, "orders_gateway_dependency_up", "mongodb") == 1
        assert figure(shown, "orders_gateway_stale") == 0
        count = figure(shown, "orders_gateway_commit_to_write_seconds_count")
        assert 1 <= count <= 5
        assert figure(shown, "orders_gateway_commit_to_write_seconds_sum") / count < 2
        shown = await scrape(watcher)
        assert figure(shown, "orders_watcher_events_total") == 5
        assert figure(shown, "orders_watcher_leader") == 1
        assert figure(shown, "orders_watcher_term") == 1
        assert figure(shown, "orders_watcher_epochs_total", "first_start") == 1
        assert figure(shown, "orders_watcher_lag_seconds") <= 2

    async def ends() -> bool:
        shown = await scrape(gateway)
        gone = [figure(shown, "orders_gateway_disconnects_total", by, "transport close") for by in ("websocket", "sse")]
        return gone == [2, 1]

    await until(ends, "the ends of the connections are counted")


async def test_resumed_and_refused_clients_are_counted(
    services: tuple[ServiceProcess, ServiceProcess],
) -> None:
    _, gateway = services
    async with aiohttp.ClientSession() as session:
        events = f"{gateway.url}/api/orders/events"
        async with session.get(f"{gateway.url}/api/orders") as response:
            cursor = response.headers["Stream-Cursor"]
        for since in (cursor, "00000000.1-1"):
            async with session.get(events, params={"since": since}) as response:
                await response.content.readline()
        async with session.get(
            f"{gateway.url}/socket.io/?EIO=4&transport=polling", headers={"Origin": "https://evil.example"}
        ) as response:
            assert response.status == 403
    shown = await scrape(gateway)
    assert figure(shown, "orders_gateway_resumes_total", "ring") == 1
    assert figure(shown, "orders_gateway_resumes_total", "resync") == 1
    assert figure(shown, "orders_gateway_incidents_total", "origin_refused") == 1


async def test_an_outage_of_redis_shows_in_both(
    run_service: RunService, mongodb_uri: str, own_valkey: OwnValkey
) -> None:
    valkey = await own_valkey()
    settings = {"MONGODB_URI": mongodb_uri, "REDIS_URL": valkey.uri(), "STALE_SECONDS": "2"}
    watcher, gateway = await run_service("watcher", settings), await run_service("gateway", settings)
    await valkey.kill()

    async def noticed() -> bool:
        at_gateway, at_watcher = await scrape(gateway), await scrape(watcher)
        return (
            figure(at_gateway, "orders_gateway_dependency_up", "redis") == 0
            and figure(at_gateway, "orders_gateway_dependency_outages_total", "redis") == 1
            and figure(at_gateway, "orders_gateway_stale") == 1
            and figure(at_watcher, "orders_watcher_dependency_up", "redis") == 0
            and figure(at_watcher, "orders_watcher_dependency_up", "mongodb") == 1
        )

    await until(noticed, "both services show the outage")
    await valkey.start()

    async def over() -> bool:
        at_gateway, at_watcher = await scrape(gateway), await scrape(watcher)
        return (
            figure(at_gateway, "orders_gateway_dependency_up", "redis") == 1
            and figure(at_gateway, "orders_gateway_stale") == 0
            and figure(at_watcher, "orders_watcher_dependency_up", "redis") == 1
            and figure(at_watcher, "orders_watcher_rebuilds_total") == 1
        )

    await until(over, "both services show that it is over")
