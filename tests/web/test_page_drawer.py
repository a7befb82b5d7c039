"""One order whole, in a drawer: live, edited in place, with its history, and never another order's."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from bson import ObjectId
from selenium.webdriver import Keys

from tests.access.conftest import Guarded, guarded_on
from tests.access.tokens import token
from tests.servers import Servers
from tests.web.browser import DESKTOP, PHONE, Page, Screen, chromium
from tests.web.test_page_layout import violations

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def product(session_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Guarded]:
    async with guarded_on(session_servers, tmp_path_factory.mktemp("drawer")) as product:
        await product.watcher()
        yield product


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(product: Guarded) -> str:
    return (await product.gateway(AUTH="none")).url


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("browser") / "profile", DESKTOP) as driver:
        yield Page(driver)


@pytest_asyncio.fixture(loop_scope="module")
async def page(product: Guarded, url: str, browser: Page) -> AsyncIterator[Page]:
    await product.orders.delete_many({})
    browser.driver.get(url)
    browser.until_live()
    yield browser
    assert browser.errors == []


async def add(product: Guarded, page: Page, customer: str = "Ada", **more: object) -> str:
    order = {"customer_name": customer, "product_name": "Laptop", "status": "pending", "updated_at": datetime.now(UTC)}
    order_id = str((await product.orders.insert_one({**order, **more})).inserted_id)
    page.until(lambda: page.row(order_id) is not None, "the row")
    return order_id


async def change(product: Guarded, id: str, **fields: object) -> None:
    await product.orders.update_one({"_id": ObjectId(id)}, {"$set": fields})


def open_drawer(page: Page, id: str) -> None:
    page.click(f"tr[data-id='{id}'] .row-open")
    page.until(lambda: page.run("return document.querySelector('#drawer')?.open"), "the drawer")
    page.until(lambda: history(page), "its history")


def fields(page: Page) -> dict[str, str]:
    script = """
      return [...document.querySelectorAll("#drawer [data-field]")].map((line) =>
        [line.dataset.field, line.querySelector("dd").textContent]);
    """
    return dict(page.run(script))


def history(page: Page) -> list[str]:
    script = """
      const text = (line, part) => [...line.querySelectorAll(part)].map((each) => each.textContent);
      return [...document.querySelectorAll("#drawer ol li")].map((line) =>
        [...text(line, "strong"), ...text(line, ".past-field")].join(" | "));
    """
    found: list[str] = page.run(script)
    return found


def note(page: Page, part: str = ".drawer-note") -> str:
    return page.find(f"#drawer {part}").text


def focus(page: Page) -> str:
    script = "const e = document.activeElement; return `${e.tagName} ${e.closest('tr')?.dataset.id ?? e.id}`"
    return str(page.run(script))


def press(page: Page, key: str) -> None:
    page.driver.switch_to.active_element.send_keys(key)


def write_in(page: Page, field: str, text: str) -> None:
    page.find(f"#drawer-{field}").clear()
    page.find(f"#drawer-{field}").send_keys(text)


async def test_all_fields_are_shown_as_text_and_follow_the_order_to_its_end(product: Guarded, page: Page) -> None:
    foreign = {"priority": 7, "<b>bold</b>": "<img src=x onerror=alert(1)>", "lines": [{"sku": "a", "count": 2}]}
    order_id = await add(product, page, "עדה \u202e lovelace", **foreign)
    open_drawer(page, order_id)

    shown = fields(page)
    assert shown["_id"] == order_id
    assert shown["customer_name"] == "עדה \u202e lovelace"
    assert (shown["priority"], shown["<b>bold</b>"]) == ("7", "<img src=x onerror=alert(1)>")
    assert shown["lines"] == '[{"sku":"a","count":2}]'
    assert page.run("return document.querySelectorAll('#drawer dd:not([dir=auto]), #drawer dd img').length") == 0
    assert focus(page) == "H2 drawer-title"

    await change(product, order_id, status="shipped", priority=8)
    page.until(lambda: (fields(page)["status"], fields(page)["priority"]) == ("shipped", "8"), "the change")
    page.until(lambda: len(history(page)) == 2, "the change in the history")
    assert history(page)[0].startswith("Changed | ")
    assert "statuspending → shipped" in history(page)[0]
    assert "priority7 → 8" in history(page)[0]
    assert history(page)[1].startswith("Created | ")
    page.click("#drawer .past-cursor summary")
    assert "-" in page.find("#drawer .past-cursor code").text

    page.click("#drawer .drawer-edit")
    page.until(lambda: page.find("#drawer-status").is_displayed(), "the form")
    await product.orders.delete_one({"_id": ObjectId(order_id)})
    page.until(lambda: note(page).startswith("This order was deleted at "), "that it was deleted")
    assert not page.find("#drawer form").is_displayed()
    assert not page.find("#drawer .drawer-edit").is_displayed()
    page.until(lambda: history(page)[0].startswith("Deleted"), "the deletion in the history")
    press(page, Keys.ESCAPE)
    assert not page.run("return document.querySelector('#drawer').open")


async def test_it_is_opened_and_left_by_keyboard(product: Guarded, page: Page) -> None:
    ids = [await add(product, page, name) for name in ("Ada", "Grace")]
    page.run("document.querySelector(`tr[data-id='${arguments[0]}']`).focus()", ids[0])

    press(page, Keys.ENTER)
    page.until(lambda: focus(page) == "H2 drawer-title", "the focus in the drawer")
    assert page.find("#drawer-title").text == "Ada · Laptop"
    press(page, Keys.ESCAPE)
    assert focus(page) == f"TR {ids[0]}"

    open_drawer(page, ids[1])
    page.until(lambda: fields(page)["customer_name"] == "Grace", "the other order")
    page.click("#drawer .drawer-head button")
    assert focus(page) == f"BUTTON {ids[1]}"


async def test_what_the_server_objects_to_is_told_at_the_field_and_only_what_was_edited_is_sent(
    product: Guarded, page: Page
) -> None:
    order_id = await add(product, page)
    open_drawer(page, order_id)
    page.run(
        """
        window.sent = [];
        const real = window.fetch;
        window.fetch = (url, options) => {
          if (options?.method) window.sent.push(options.body);
          return real(url, options);
        };
        """
    )
    page.click("#drawer .drawer-edit")
    page.until(lambda: focus(page) == "INPUT drawer-customer_name", "the form")
    write_in(page, "customer_name", " ")
    page.click("#drawer [type=submit]")
    page.until(lambda: page.find("#drawer-customer_name-error").text, "the objection")
    assert page.find("#drawer-customer_name").get_attribute("aria-invalid") == "true"

    write_in(page, "customer_name", "Grace")
    page.find("#drawer-status").send_keys("shipped")
    page.click("#drawer [type=submit]")

    page.until(lambda: not page.find("#drawer form").is_displayed(), "that it is saved")
    assert (fields(page)["customer_name"], fields(page)["status"]) == ("Grace", "shipped")
    assert page.run("return window.sent.at(-1)") == '{"customer_name":"Grace","status":"shipped"}'
    page.until(lambda: (row := page.row(order_id)) and row.customer == "Grace", "the row")
    page.until(lambda: "customerAda" not in history(page)[0] and len(history(page)) == 2, "the history")
    assert (await product.orders.find_one({"_id": ObjectId(order_id)}) or {})["status"] == "shipped"


async def test_what_was_changed_meanwhile_is_told_and_not_overwritten_unseen(product: Guarded, page: Page) -> None:
    order_id = await add(product, page)
    open_drawer(page, order_id)
    page.click("#drawer .drawer-edit")
    page.until(lambda: focus(page) == "INPUT drawer-customer_name", "the form")
    write_in(page, "customer_name", "Mine")

    await change(product, order_id, customer_name="Theirs", status="delivered")
    page.until(lambda: "customer from Ada to Theirs" in note(page, ".drawer-conflict"), "that it was changed")
    page.click("#drawer [type=submit]")
    page.until(lambda: focus(page) == "BUTTON " and "Keep" in page.driver.switch_to.active_element.text, "the choice")
    order: dict[str, Any] = await product.orders.find_one({"_id": ObjectId(order_id)}) or {}
    assert order["customer_name"] == "Theirs"

    page.driver.switch_to.active_element.click()
    page.until(lambda: not page.find(".drawer-conflict").is_displayed(), "the newest version")
    assert page.find("#drawer-status").get_attribute("value") == "delivered"
    page.click("#drawer [type=submit]")
    page.until(lambda: not page.find("#drawer form").is_displayed(), "that it is saved")
    order = await product.orders.find_one({"_id": ObjectId(order_id)}) or {}
    assert (order["customer_name"], order["status"]) == ("Mine", "delivered")


async def test_the_strip_says_how_many_changes_come_and_how_late(product: Guarded, page: Page) -> None:
    assert page.find("#strip-words").text == "No changes in the last minute"
    order_id = await add(product, page)
    for number in range(5):
        await change(product, order_id, product_name=f"Laptop {number}")
    figures = r"[\d.]+ changes/s · on screen in [\d.]+ m?s \(p50\), [\d.]+ m?s \(p99\)"
    page.until(lambda: re.fullmatch(figures, page.find("#strip-words").text), "the figures")
    drawn = """
      const { width, height } = document.querySelector("#strip-chart");
      const { data } = document.querySelector("#strip-chart").getContext("2d").getImageData(0, 0, width, height);
      return [...data].some((value, at) => at % 4 === 3 && value > 0);
    """
    assert page.run(drawn)
    page.click("#strip")
    assert page.find("#indicator-cursor").is_displayed()
    assert focus(page).startswith("SUMMARY")
    page.click("#strip")
    assert not page.find("#indicator-cursor").is_displayed()


async def test_after_a_break_it_says_how_many_changes_were_missed(product: Guarded, page: Page) -> None:
    gateway = await product.gateway(AUTH="none")
    port = gateway.url.rsplit(":", 1)[1]
    page.driver.get(gateway.url)
    page.until_live()
    order_id = await add(product, page)
    page.until(lambda: page.run("return document.querySelector('#indicator-event').textContent") != "none yet", "it")

    await gateway.stop()
    page.until(lambda: page.connection.startswith("reconnecting"), "the break")
    for number in range(37):
        await change(product, order_id, product_name=f"Laptop {number}")
    await product.gateway(AUTH="none", PORT=port)
    page.until_live()
    page.until(lambda: "caught up on 37 changes" in page.find("#strip-words").text, "how many")
    page.until(lambda: (row := page.row(order_id)) and row.product == "Laptop 36", "the last of them")


async def test_the_history_leads_back_page_by_page_and_says_how_far(product: Guarded, page: Page) -> None:
    order_id = await add(product, page)
    for number in range(60):
        await change(product, order_id, product_name=f"Laptop {number}")
    page.until(lambda: (row := page.row(order_id)) and row.product == "Laptop 59", "the last change")
    open_drawer(page, order_id)
    assert len(history(page)) == 50
    assert "complete since" in note(page, ".drawer-reach")

    for _ in range(3):  # a page may have none
        if len(history(page)) < 61:
            page.click("#drawer .drawer-history > button")
            page.until(lambda: page.find("#drawer .drawer-history > button").get_attribute("aria-busy") is None, "more")
    assert len(history(page)) == 61
    assert history(page)[-1].startswith("Created")


async def test_a_change_is_in_the_history_though_the_order_was_read_after_it(product: Guarded, page: Page) -> None:
    order_id = await add(product, page)
    page.run(
        """
        const real = window.fetch;
        window.fetch = async (url, options) => {
          const answer = await real(url, options);
          if (!String(url).endsWith(arguments[0])) return answer;
          const headers = new Headers(answer.headers);
          headers.set("Stream-Cursor", headers.get("Stream-Cursor").replace(/[.].*/, ".9000000000000000000-0"));
          return new Response(await answer.text(), { status: answer.status, headers });
        };
        """,
        order_id,
    )
    open_drawer(page, order_id)
    await change(product, order_id, customer_name="Grace")
    page.until(lambda: len(history(page)) == 2, "the change in the history")


async def test_a_history_that_could_not_be_read_on_is_read_when_asked_again(product: Guarded, page: Page) -> None:
    order_id = await add(product, page)
    open_drawer(page, order_id)
    said = note(page, ".drawer-reach")
    page.run(
        """
        const real = window.fetch;
        window.fetch = (url, options) => {
          if (!String(url).includes("/history")) return real(url, options);
          window.fetch = real;
          return Promise.reject(new TypeError("Failed to fetch"));
        };
        """
    )
    await change(product, order_id, customer_name="Grace")
    page.until(lambda: note(page, ".drawer-reach").startswith("The history cannot be read."), "that it failed")
    assert len(history(page)) == 1

    page.click("#drawer .drawer-history > button")
    page.until(lambda: len(history(page)) == 2, "the change in the history")
    assert note(page, ".drawer-reach") == said
    assert not page.find("#drawer .drawer-history > button").is_displayed()


async def test_an_answer_about_one_order_is_never_shown_as_another(product: Guarded, page: Page) -> None:
    slow, other = await add(product, page, "Slow"), await add(product, page, "Other")
    page.run(
        """
        const real = window.fetch;
        window.late = 0;
        window.fetch = async (url, options) => {
          const answer = await real(url, options);
          if (!String(url).includes(arguments[0])) return answer;
          await new Promise((go) => (window.releases ??= []).push(go));
          window.late += 1;
          return answer;
        };
        """,
        slow,
    )
    page.click(f"tr[data-id='{slow}'] .row-open")
    page.until(lambda: page.run("return window.releases?.length") == 2, "both requests, held back")
    open_drawer(page, other)

    page.run("for (const go of window.releases) go()")
    page.until(lambda: page.run("return window.late") == 2, "the late answers")
    await asyncio.to_thread(page.run, "return new Promise((go) => requestAnimationFrame(() => setTimeout(go)))")
    assert (fields(page)["_id"], fields(page)["customer_name"]) == (other, "Other")
    assert len(history(page)) == 1
    assert "Other" in history(page)[0]


@pytest.mark.parametrize(("screen", "dark"), [(DESKTOP, False), (DESKTOP, True), (PHONE, False)])
async def test_axe_finds_nothing_in_the_open_drawer(product: Guarded, page: Page, screen: Screen, dark: bool) -> None:
    size = {"width": screen.width, "height": screen.height, "deviceScaleFactor": 1, "mobile": screen == PHONE}
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
    page.driver.refresh()
    page.until_live()
    order_id = await add(product, page, priority=7)
    open_drawer(page, order_id)
    assert violations(page) == []

    page.click("#drawer .drawer-edit")
    page.until(lambda: focus(page) == "INPUT drawer-customer_name", "the form")
    write_in(page, "product_name", " ")
    page.click("#drawer [type=submit]")
    page.until(lambda: page.find("#drawer-product_name-error").text, "the objection")
    await change(product, order_id, status="shipped")
    page.until(lambda: page.find(".drawer-conflict").is_displayed(), "that it was changed")
    assert violations(page) == []
    box = page.run("return document.querySelector('#drawer').getBoundingClientRect().toJSON()")
    assert box["right"] == page.run("return document.documentElement.clientWidth")
    assert (box["top"], box["bottom"]) == (0, screen.height)
    assert page.run("return document.querySelector('#drawer').scrollWidth") <= box["width"]
    assert page.run("return document.querySelector('main').inert") == (screen == PHONE)


async def test_who_may_not_write_is_not_offered_to_edit(product: Guarded, page: Page) -> None:
    order_id = await add(product, page)
    open_drawer(page, order_id)
    assert page.find("#drawer .drawer-edit").is_displayed()

    guarded = await product.gateway()
    page.driver.get(guarded.url)
    page.until(lambda: page.find("#sign-in-token").is_displayed(), "a place for the token")
    page.find("#sign-in-token").send_keys(token(scope="orders:read", rights={"customer_name": "Ada"}), Keys.ENTER)
    page.until(lambda: page.row(order_id) is not None, "the row")
    open_drawer(page, order_id)
    assert not page.find("#drawer .drawer-edit").is_displayed()
    page.run("document.querySelector('#drawer .drawer-edit').click()")
    assert not page.find("#drawer form").is_displayed()


async def test_the_drawer_shows_a_part_of_an_order_with_thousands_of_fields(product: Guarded, page: Page) -> None:
    many = {f"field {number}": number for number in range(3_000)}
    order = await add(product, page)
    for time in range(5):
        await change(product, order, **{name: number + time for name, number in many.items()})
    open_drawer(page, order)
    page.until(lambda: len(history(page)) == 6, "all changes")
    assert page.run("return document.querySelectorAll('#drawer *').length") < 3_000
    assert len(fields(page)) == 200
    assert page.run("return document.querySelector('#drawer ol li').textContent").count("and 2950 more fields") == 1
    assert history(page)[0].count("|") == 50
