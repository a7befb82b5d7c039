"""Limits are for those who take too much: a person with ten tabs of the page never meets one."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from selenium.webdriver.support.select import Select

from services.embedded.ports import free_port
from services.gateway.edge.quota import Quota, Use
from services.gateway.settings import GatewaySettings
from tests.access.conftest import guarded_on
from tests.access.provider_process import ProviderProcess
from tests.access.sign_in_page import SignInPage
from tests.servers import Servers
from tests.service_process import ServiceProcess
from tests.web.browser import DESKTOP, chromium

TABS = 10
ORDERS = 200
# The defaults as an operator would set them: so they hold on this machine, too, where the defaults hold for nobody.
LIMITS = {f"LIMIT_{use.upper()}": GatewaySettings.model_fields[f"limit_{use}"].default for use in Use}
CONNECTIONS = ("too_many_connections", "too_many_from_address", "too_many_of_subject", "rate_exceeded")
REFUSALS = (*(use.incident for use in Use), *CONNECTIONS)


async def test_a_person_with_ten_tabs_never_meets_a_limit(session_servers: Servers, tmp_path: Path) -> None:
    async with guarded_on(session_servers, tmp_path) as product:
        port = free_port()
        url = f"http://localhost:{port}"
        async with ProviderProcess(page=url, folder=tmp_path) as provider:
            await product.watcher()
            gateway = await product.gateway(**provider.settings, **LIMITS, PORT=str(port))
            orders = [
                {"customer_name": f"Customer {n % 7}", "product_name": f"Product {n}", "status": "pending"}
                for n in range(ORDERS)
            ]
            await product.orders.insert_many(orders)
            await asyncio.to_thread(browse, tmp_path / "profile", url, provider.url)
            assert await refusals(gateway) == {}


async def refusals(gateway: ServiceProcess) -> dict[str, float]:
    counted = {kind: await gateway.metric(f'orders_gateway_incidents_total{{kind="{kind}"}}') for kind in REFUSALS}
    return {kind: count for kind, count in counted.items() if count}


def browse(profile: Path, url: str, provider: str) -> None:
    with chromium(profile, DESKTOP) as driver:
        page = SignInPage(driver)
        driver.get(url)
        page.sign_in(url, provider, "clerk")
        for _ in range(TABS - 1):
            driver.switch_to.new_window("tab")
            driver.get(url)
        tabs = driver.window_handles
        assert len(tabs) == TABS

        def in_each(act: Callable[[], object]) -> None:
            for tab in tabs:
                driver.switch_to.window(tab)
                act()

        def work() -> None:
            page.until_live()
            page.until(lambda: page.rows, "the orders")
            page.choose("pending")
            page.until(lambda: {row.status for row in page.rows} == {"pending"}, "the filter")
            page.choose("")
            page.until(lambda: page.rows, "all orders again")
            changed = page.rows[0].id
            Select(page.find(f"tr[data-id='{changed}'] select")).select_by_value("shipped")
            page.until(lambda: (row := page.row(changed)) is not None and row.status == "shipped", "the edit")
            page.fill_form("Ten Tabs", "Desk")
            page.until(lambda: page.rows[0].product == "Desk", "the new order")

        in_each(work)
        for _ in range(3):
            in_each(lambda: page.run("location.reload()"))  # all at once, as after a break
            in_each(page.until_live)
        for use, quota, left in page.run(
            """
            const asked = [["reads", "/api/orders?limit=1"], ["expensive", "/api/orders?limit=500"]];
            return await Promise.all(asked.map(async ([use, path]) => {
              const { headers } = await fetch(path);
              const [, quota] = /q=(\\d+)/.exec(headers.get("RateLimit-Policy"));
              return [use, Number(quota), Number(/r=(\\d+)/.exec(headers.get("RateLimit"))[1])];
            }));
            """
        ):
            assert quota == Quota.parse(LIMITS[f"LIMIT_{use.upper()}"]).amount  # type: ignore[union-attr]
            assert left > quota / 2, f"{use}: {left} of {quota} are left"
        refused = [entry for entry in driver.get_log("browser") if "429" in entry["message"]]  # type: ignore[no-untyped-call]
        assert refused == []
