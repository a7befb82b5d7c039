"""All tabs of a browser share one connection, which another tab takes over when its tab goes; none misses a change."""

import asyncio
import re
from contextlib import suppress

import pytest
from selenium.common.exceptions import WebDriverException

from tests.waiting import until
from tests.web.browser import Page
from tests.web.conftest import OpenPage, Stack
from tests.web.test_page_layout import violations

CONNECTIONS = re.compile(r"^orders_gateway_admitted_connections (\d+)", re.MULTILINE)


async def connections(stack: Stack) -> int:
    """Sessions and event streams, as the gateway counts them."""
    async with stack.http.get(f"{stack.gateway.admin_url}/metrics") as response:
        found = CONNECTIONS.search((await response.text()).replace(".0\n", "\n"))
    assert found is not None
    return int(found[1])


class Tab:
    """A tab of a browser, by its handle."""

    def __init__(self, page: Page, address: str, transport: str) -> None:
        self.page = page
        page.driver.switch_to.new_window("tab")
        self.handle = page.driver.current_window_handle
        page.driver.get(address)
        page.until_live(transport)

    def look(self) -> Page:
        self.page.driver.switch_to.window(self.handle)
        return self.page

    def changes(self) -> list[str]:
        """The customers of the changes that it has been told of, oldest first; each as often as it was told."""
        return [line.split()[1] for line in self.look().log[::-1]]

    def until_told(self, names: list[str]) -> None:
        self.page.until(lambda: self.changes()[-len(names) :] == names, f"each change once, in order: {self.handle}")
        assert self.changes() == names

    def close(self) -> None:
        self.look().driver.close()

    def crash(self) -> None:
        self.look()
        with suppress(WebDriverException):
            self.page.driver.get("chrome://crash")


async def write(stack: Stack, names: list[str]) -> None:
    """Add an order for each, at a pace at which the log shows all of them."""
    for name in names:
        await stack.orders.insert_one({"customer_name": name, "product_name": "Lamp", "status": "pending"})
        await asyncio.sleep(0.03)


def named(letter: str, count: int) -> list[str]:
    return [f"{letter}{number}" for number in range(count)]


@pytest.mark.parametrize("transport", ["WebSocket", "SSE"])
async def test_six_tabs_have_one_connection_and_miss_nothing_when_the_tab_that_has_it_is_closed_or_crashes(
    stack: Stack, open_page: OpenPage, transport: str
) -> None:
    address = f"{stack.url}/?transport={transport.lower()}"
    page = await asyncio.to_thread(open_page, "about:blank")

    def open_six() -> list[Tab]:
        return [Tab(page, address, transport) for _ in range(6)]

    tabs = await asyncio.to_thread(open_six)
    assert await connections(stack) == 1, "of six tabs"
    names = named("a", 10)
    await write(stack, names)
    for tab in tabs:
        await asyncio.to_thread(tab.until_told, names)

    writing = asyncio.create_task(write(stack, named("b", 30)))
    await until(lambda: stack.orders.find_one({"customer_name": "b5"}), "some are written")
    await asyncio.to_thread(tabs[0].close)
    await writing
    names += named("b", 30)
    for tab in tabs[1:]:
        await asyncio.to_thread(tab.until_told, names)
    assert await connections(stack) == 1, "of another tab"

    writing = asyncio.create_task(write(stack, named("c", 30)))
    await until(lambda: stack.orders.find_one({"customer_name": "c5"}), "some are written")
    await asyncio.to_thread(tabs[1].crash)
    await writing
    names += named("c", 30)
    for tab in tabs[2:]:
        await asyncio.to_thread(tab.until_told, names)
        assert len((await asyncio.to_thread(tab.look)).rows) > 10
    assert await connections(stack) == 1, "of a third tab"


async def test_tabs_with_different_filters_each_show_their_orders_and_only_those(
    stack: Stack, open_page: OpenPage
) -> None:
    page = await asyncio.to_thread(open_page, "about:blank")
    address = f"{stack.url}/?status="

    def open_three() -> list[Tab]:
        return [Tab(page, f"{address}{status}", "WebSocket") for status in ("pending", "shipped", "")]

    pending, shipped, every = await asyncio.to_thread(open_three)
    assert await connections(stack) == 1
    ada, grace = await stack.create("Ada"), await stack.create("Grace", status="shipped")
    await (await stack.http.put(f"{stack.url}/api/orders/{ada}", json={"status": "shipped"})).release()
    await (await stack.http.delete(f"{stack.url}/api/orders/{grace}")).release()
    alan = await stack.create("Alan")

    def ids(tab: Tab) -> list[str]:
        return [row.id for row in tab.look().rows]

    for tab, expected in ((pending, [alan]), (shipped, [ada]), (every, [alan, ada])):
        await until(lambda t=tab, e=expected: asyncio.to_thread(lambda: ids(t) == e), "its orders")  # type: ignore[misc]
    log = await asyncio.to_thread(lambda: pending.look().log)
    left = "left Ada · Laptop: no longer among the orders shown"
    assert log == ["insert Alan · Laptop: pending", left, "insert Ada · Laptop: pending"], "nothing of the others"
    await asyncio.to_thread(lambda: pending.look().choose("delivered"))
    await (await stack.http.put(f"{stack.url}/api/orders/{alan}", json={"status": "delivered"})).release()
    await until(lambda: asyncio.to_thread(lambda: ids(pending) == [alan]), "what is chosen now")
    assert await connections(stack) == 1


async def test_a_tab_that_is_asleep_loses_the_connection_to_one_that_is_looked_at(
    stack: Stack, open_page: OpenPage
) -> None:
    page = await asyncio.to_thread(open_page, "about:blank")

    def open_two() -> list[Tab]:
        return [Tab(page, stack.url, "WebSocket") for _ in range(2)]

    asleep, awake = await asyncio.to_thread(open_two)
    busy = "setTimeout(() => { const end = performance.now() + 12000; while (performance.now() < end); })"
    await asyncio.to_thread(lambda: asleep.look().run(busy))

    await asyncio.to_thread(lambda: awake.look().run("dispatchEvent(new Event('online'))"))
    order_id = await stack.create("Ada")

    await until(lambda: asyncio.to_thread(lambda: awake.look().row(order_id) is not None), "the change", 10)
    await until(lambda: asyncio.to_thread(lambda: asleep.look().row(order_id) is not None), "there too, awake again")

    async def one() -> bool:
        return await connections(stack) == 1

    await until(one, "one connection again")


async def test_another_transport_is_a_choice_in_the_panel_that_the_address_keeps(
    stack: Stack, open_page: OpenPage
) -> None:
    page = open_page(stack.url)
    page.until_live()
    page.click("#strip")
    assert violations(page) == []
    for choice, shown in (("sse", "SSE"), ("polling", "polling"), ("websocket", "WebSocket")):
        page.run("document.querySelector('#indicator').open = true")
        page.find(f"#transport option[value={choice}]").click()
        page.until_live(shown)
        order_id = await stack.create(f"By {shown}")
        page.until(lambda i=order_id: page.row(i) is not None, "a change")  # type: ignore[misc]
        assert page.run("return location.search") == f"?transport={choice}"
        assert page.find("#indicator-via").text == shown
        assert page.find("#indicator-server").text == "replica-1"
        cursor = page.run("return document.querySelector('#indicator-cursor').textContent")
        assert re.fullmatch(r"[0-9a-f]+\.\d+-\d+", cursor), "the position in the stream"

        async def one() -> bool:
            return await connections(stack) == 1

        await until(one, "and the one before is closed")
    page.driver.refresh()
    page.until_live("WebSocket")
    assert page.run("return document.querySelector('#transport').value") == "websocket"
    assert len(page.log) == 0, "the page is new"
