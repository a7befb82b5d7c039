"""The orders desk: views in the address, exact totals, keys, and files of what is shown."""

import asyncio
import csv
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from bson import ObjectId
from selenium.webdriver import Chrome, Keys

from services.common.ids import id_text
from tests.access.conftest import Guarded, guarded_on
from tests.access.tokens import token
from tests.servers import Servers
from tests.web.browser import DESKTOP, Page, chromium
from tests.web.test_page_layout import violations

pytestmark = pytest.mark.asyncio(loop_scope="module")

STATUSES = ["pending", "shipped", "delivered"]
CUSTOMERS = ["Ada", "Grace & Söhne", "O'Neil"]


def order(number: int) -> dict[str, Any]:
    return {
        "customer_name": CUSTOMERS[number % 3],
        "product_name": f"Lamp {number}",
        "status": STATUSES[number // 3 % 3],
    }


@dataclass
class Desk:
    """A gateway, its orders and their ids, oldest first."""

    url: str
    product: Guarded
    ids: list[str]

    async def newest(self, **filter: Any) -> list[str]:
        found = self.product.orders.find(filter, {"_id": 1}).sort("_id", -1)
        return [id_text(document["_id"]) async for document in found]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def product(session_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with guarded_on(session_servers, tmp_path_factory.mktemp("desk")) as guarded:
        gateway, _ = await asyncio.gather(guarded.gateway(AUTH="none"), guarded.watcher())
        yield Desk(gateway.url, guarded, [])


@pytest_asyncio.fixture(loop_scope="module")
async def desk(product: Desk) -> Desk:
    orders = product.product.orders
    await orders.delete_many({})
    inserted = await orders.insert_many([order(number) for number in range(36)])
    return Desk(product.url, product.product, [id_text(each) for each in inserted.inserted_ids])


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("browser") / "profile", DESKTOP) as driver:
        yield driver


@pytest.fixture
def page(driver: Chrome) -> Iterator[Page]:
    page = Page(driver)
    yield page
    assert page.errors == []


def open_at(page: Page, address: str) -> None:
    page.driver.get(address)
    page.until_live()


def until_shown(page: Page, ids: list[str], what: str) -> None:
    page.until(lambda: [row.id for row in page.rows] == ids[: len(page.rows)] and len(page.rows) >= len(ids[:10]), what)
    page.until(lambda: page.find("#orders-count").text == str(len(ids)), f"{what}: {len(ids)} of them")


def query(page: Page) -> str:
    return str(page.run("return location.search"))


def chosen(page: Page) -> list[str]:
    return list(page.run("return [...document.querySelectorAll('#filter :checked')].map((box) => box.value)"))


def type_in(page: Page, selector: str, text: str) -> None:
    page.find(selector).clear()
    page.find(selector).send_keys(text)


async def test_a_view_is_in_the_address_and_can_be_shared_reloaded_and_gone_back_from(desk: Desk, page: Page) -> None:
    everything = await desk.newest()
    open_at(page, f"{desk.url}/?transport=websocket")
    until_shown(page, everything, "all")

    page.click("#filter [value=pending]")
    page.click("#filter [value=shipped]")
    two = await desk.newest(status={"$in": ["pending", "shipped"]})
    until_shown(page, two, "two statuses")
    assert query(page) == "?transport=websocket&status=pending&status=shipped"
    type_in(page, "#filter-customer", "Grace & Söhne\n")
    hers = await desk.newest(status={"$in": ["pending", "shipped"]}, customer_name="Grace & Söhne")
    until_shown(page, hers, "two statuses of a customer")

    shared = page.driver.current_url
    page.driver.refresh()
    page.until_live()
    until_shown(page, hers, "the same after a reload")
    assert chosen(page) == ["pending", "shipped"]
    assert page.find("#filter-customer").get_attribute("value") == "Grace & Söhne"
    new = await desk.product.orders.insert_one(order(1))  # Grace & Söhne, pending
    await desk.product.orders.insert_one(order(0))  # Ada
    until_shown(page, [id_text(new.inserted_id), *hers], "the one that belongs to the view")
    await desk.product.orders.update_one({"_id": new.inserted_id}, {"$set": {"customer_name": "Ada"}})
    until_shown(page, hers, "without the one that went to another customer")

    page.driver.back()
    page.until(lambda: chosen(page) == ["pending", "shipped"] and "customer" not in query(page), "one step back")
    until_shown(page, await desk.newest(status={"$in": ["pending", "shipped"]}), "all customers")
    assert page.find("#filter-customer").get_attribute("value") == ""
    page.driver.back()
    page.driver.back()
    page.until(lambda: chosen(page) == [""], "back at all")
    until_shown(page, await desk.newest(), "all again")
    page.driver.forward()
    until_shown(page, await desk.newest(status="pending"), "forward")

    for transport in ("polling", "sse"):
        page.driver.get(shared.replace("websocket", transport))
        page.until_live({"sse": "SSE"}.get(transport, transport))
        until_shown(page, hers, f"over {transport}")
        new = await desk.product.orders.insert_one(order(1))
        until_shown(page, [id_text(new.inserted_id), *hers], f"live over {transport}")
        await desk.product.orders.delete_one({"_id": new.inserted_id})
        until_shown(page, hers, f"gone over {transport}")

    type_in(page, "#filter-customer", "Gr")
    suggested = "return [...document.querySelectorAll('#customers option')].map((option) => option.value)"
    page.until(lambda: page.run(suggested) == ["Grace & Söhne"], "customers whose names begin so")

    page.driver.get(f"{desk.url}/?status=lost&status=shipped&customer={'x' * 201}")
    until_shown(page, await desk.newest(status="shipped"), "what is no choice counts for nothing")


async def test_a_search_finds_the_beginnings_of_ids_customers_and_products_and_stays_live(
    desk: Desk, page: Page
) -> None:
    orders = desk.product.orders
    mine = [
        ("Quentin", "Lamp"),
        ("Ada", "Quill"),
        ("Ada", "quill"),
        ("Quax", "Quilt"),
    ]
    made = await orders.insert_many(
        [{"customer_name": customer, "product_name": product, "status": "pending"} for customer, product in mine]
    )
    quentin, quill, small, quax = (id_text(each) for each in made.inserted_ids)
    open_at(page, f"{desk.url}/?status=shipped&sort=-updated_at")
    type_in(page, "#search", "Qu\n")
    until_shown(page, [quax, quentin, quill], "by customer, then by product")
    assert query(page) == "?q=Qu"
    assert chosen(page) == [""], "no index serves a filter too"
    assert page.find("#sort").get_attribute("disabled") == "true"

    new = await orders.insert_one({"customer_name": "Que", "product_name": "Lamp", "status": "pending"})
    await orders.update_one({"product_name": "quill"}, {"$set": {"product_name": "Quince"}})
    await orders.update_one({"customer_name": "Quentin"}, {"$set": {"customer_name": "Ada"}})
    await orders.insert_one({"customer_name": "Eve", "product_name": "Lamp", "status": "pending"})
    until_shown(page, [quax, id_text(new.inserted_id), quill, small], "as they are found now")
    page.driver.refresh()
    page.until_live()
    until_shown(page, [quax, id_text(new.inserted_id), quill, small], "the same after a reload")

    type_in(page, "#search", f"{quill[:-1]}\n")
    alike = [each for each in (await desk.newest())[::-1] if each.startswith(quill[:-1])]
    until_shown(page, alike, "by id")
    type_in(page, "#search", "nothing at all\n")
    none = "No order whose id, customer or product begins with nothing at all."
    page.until(lambda: page.find("#orders-empty").text == none, "none")
    page.click("#filter [value=shipped]")
    until_shown(page, await desk.newest(status="shipped"), "a filter ends the search")
    assert query(page) == "?status=shipped"


async def test_a_list_can_be_sorted_and_what_changes_moves_to_its_place(desk: Desk, page: Page) -> None:
    orders = desk.product.orders

    async def listed(sort: str, **filter: Any) -> list[str]:
        direction = -1 if sort.startswith("-") else 1
        found = orders.find(filter, {"_id": 1}).sort([(sort.removeprefix("-"), direction), ("_id", direction)])
        return [id_text(document["_id"]) async for document in found]

    now = datetime.now(UTC)
    async for each in orders.find():
        await orders.update_one(each, {"$set": {"updated_at": now - timedelta(minutes=int(each["product_name"][5:]))}})
    open_at(page, desk.url)
    for sort in ("_id", "-updated_at", "updated_at", "customer_name", "-customer_name", "product_name", "-status"):
        page.find(f"#sort option[value='{sort}']").click()
        until_shown(page, await listed(sort), f"by {sort}")
        assert query(page) == f"?sort={sort}"
        heads = "return [...document.querySelectorAll('th[aria-sort]')].map((h) => `${h.dataset.field} ${h.ariaSort}`)"
        assert page.run(heads) == [f"{sort.removeprefix('-')} {'descending' if sort.startswith('-') else 'ascending'}"]
    page.find("#sort option[value='-updated_at']").click()
    until_shown(page, await listed("-updated_at"), "the last changed first")

    moved = desk.ids[20]
    await orders.update_one({"_id": ObjectId(moved)}, {"$set": {"status": "pending", "updated_at": datetime.now(UTC)}})
    until_shown(page, [moved, *(each for each in await listed("-updated_at") if each != moved)], "it is the first now")
    page.find("#sort option[value='customer_name']").click()
    until_shown(page, await listed("customer_name"), "by customer")
    await orders.update_one({"_id": ObjectId(moved)}, {"$set": {"customer_name": "Aa"}})
    await orders.insert_one({**order(1), "customer_name": "Ab", "updated_at": now})
    await orders.delete_one({"_id": ObjectId(desk.ids[0])})
    until_shown(page, await listed("customer_name"), "each in its place")

    page.click("#filter [value=pending]")
    until_shown(page, await listed("customer_name", status="pending"), "with a filter")
    unserved = page.run("return [...document.querySelectorAll('#sort option:disabled')].map((option) => option.value)")
    assert unserved == ["product_name", "-product_name"]
    page.driver.refresh()
    page.until_live()
    until_shown(page, await listed("customer_name", status="pending"), "after a reload")


async def test_a_filter_by_a_field_that_is_hidden_is_given_up_and_that_is_said(
    session_servers: Servers, tmp_path: Path, page: Page
) -> None:
    hiding = {"VISIBLE_FIELDS": "product_name"}
    async with guarded_on(session_servers, tmp_path) as guarded:
        gateway, _ = await asyncio.gather(guarded.gateway(AUTH="none", **hiding), guarded.watcher(**hiding))
        await guarded.orders.delete_many({})
        made = await guarded.orders.insert_many([order(number) for number in range(12)])
        ids = [id_text(each) for each in made.inserted_ids][::-1]

        page.driver.get(f"{gateway.url}/?status=pending")
        page.until(lambda: "There is no such list." in page.find("#toasts").text, "that there is no such filter")
        page.until(lambda: query(page) == "", "it is given up")
        page.until_live()
        until_shown(page, ids, "all orders")
        page.click("#filter [value=shipped]")
        page.until(lambda: chosen(page) == [""], "given up again")
        new = await guarded.orders.insert_one(order(1))
        until_shown(page, [id_text(new.inserted_id), *ids], "live")
        page.driver.get("about:blank")


async def test_the_total_is_exact_or_a_lower_bound_and_follows(desk: Desk, page: Page) -> None:
    orders = desk.product.orders
    await orders.insert_many([{**order(number), "status": "shipped"} for number in range(2000)])

    def counted(text: str) -> None:
        page.until(lambda: page.find("#orders-count").text == text, text)

    open_at(page, f"{desk.url}/?status=shipped")
    counted("2,012")
    assert len(page.rows) < 50, "although so few rows are there"

    await orders.insert_one({**order(1), "status": "shipped"})
    counted("2,013")
    await orders.insert_many([{**order(number), "status": "shipped"} for number in range(3000)])
    counted("more than 5,000")
    await orders.delete_many({"product_name": {"$ne": "Lamp 1"}, "status": "shipped"})
    left = await orders.count_documents({"status": "shipped"})
    counted(str(left))


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.driver.switch_to.active_element.send_keys(key)


def focused(page: Page) -> str:
    """The element with the focus: its id, or its row's order and its name."""
    return str(
        page.run(
            """
            const { id, tagName, dataset } = document.activeElement;
            return id || [document.activeElement.closest("tr")?.dataset.id, tagName].filter(Boolean).join(" ");
            """
        )
    )


async def test_single_keys_lead_to_what_is_done_most_and_are_text_where_one_types(desk: Desk, page: Page) -> None:
    ids = await desk.newest()
    open_at(page, desk.url)
    until_shown(page, ids, "all")

    press(page, "j")
    assert focused(page) == f"{ids[0]} TR"
    press(page, "j", "j", Keys.ARROW_DOWN, "k")
    assert focused(page) == f"{ids[2]} TR"
    press(page, *"j" * 15)
    page.until(lambda: focused(page) == f"{ids[17]} TR", "beside the arrows, out of view too")
    press(page, *"k" * 20)
    page.until(lambda: focused(page) == f"{ids[0]} TR", "the first is the end")

    press(page, "e")
    assert focused(page) == f"{ids[0]} SELECT"
    press(page, "n", "j", "?")
    assert focused(page) == f"{ids[0]} SELECT", "in a list letters choose"
    assert not page.find("#keys").is_displayed()
    press(page, Keys.ESCAPE, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ENTER)
    page.until(
        lambda: page.run("return document.querySelectorAll('[data-deletion=waiting]').length") == 1, "a deletion"
    )
    press(page, "z")
    page.until(lambda: page.run("return document.querySelectorAll('[data-deletion=waiting]').length") == 0, "undone")
    press(page, "z")
    page.until(lambda: "nothing to undo" in page.find("#toasts").text, "said")

    press(page, "n")
    assert focused(page) == "customer_name"
    press(page, *"njkez/?")
    assert page.find("#customer_name").get_attribute("value") == "njkez/?", "where one types, a key is a letter"
    page.find("#customer_name").clear()
    page.run("document.activeElement.blur()")
    press(page, "/")
    assert focused(page) == "search"
    page.run("document.activeElement.blur()")
    press(page, Keys.CONTROL + "e")
    assert focused(page) == "BODY", "with Control they are the browser's"
    press(page, "?")
    page.until(lambda: page.find("#keys").is_displayed(), "the list of keys")
    assert violations(page) == []
    press(page, "n")
    assert page.find("#keys").is_displayed(), "behind it no key counts"
    page.click("#keys-enabled")
    press(page, Keys.ESCAPE)
    page.until(lambda: not page.find("#keys").is_displayed(), "closed")
    page.driver.refresh()
    page.until_live()
    press(page, "n", "?")
    assert focused(page) != "customer_name", "switched off, also after a reload"
    page.click("#keys-open")
    page.click("#keys-enabled")
    page.click("#keys-close")
    press(page, "n")
    assert focused(page) == "customer_name"


def read(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        return [*csv.DictReader(lines)]


def saved(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


async def test_a_file_has_all_orders_shown_and_only_those_of_the_token(desk: Desk, page: Page, tmp_path: Path) -> None:
    behaviour = {"behavior": "allow", "downloadPath": str(tmp_path)}
    page.driver.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
    await desk.product.orders.insert_many([{**order(1), "product_name": "=1+1"} for _ in range(700)])
    open_at(page, f"{desk.url}/?status=pending&customer=Grace+%26+S%C3%B6hne")
    hers = await desk.newest(status="pending", customer_name="Grace & Söhne")
    page.click("#csv")
    file = tmp_path / "orders-pending.csv"
    page.until(file.exists, "the file")
    assert [row["_id"] for row in read(file)] == hers, "all, not only those that the page has"

    guarded = await desk.product.gateway()
    page.driver.get(guarded.url)
    page.until(lambda: page.find("#sign-in-token").is_displayed(), "the field for a token")
    page.find("#sign-in-token").send_keys(token(rights={"customer_name": "Ada"}))
    page.click(".sign-in-token button")
    page.until_live()
    page.click("#csv")
    file = tmp_path / "orders.csv"
    page.until(file.exists, "the file")
    assert [row["_id"] for row in read(file)] == await desk.newest(customer_name="Ada")

    type_in(page, "#filter-customer", "Grace & Söhne\n")
    none = "No orders of the customer Grace & Söhne."
    page.until(lambda: page.find("#orders-empty").text == none, "nothing of what the token does not allow")

    await guarded.stop()
    page.click("#csv")
    page.until(lambda: "There is no file." in page.find("#toasts").text, "why there is none")
    assert saved(tmp_path) == ["orders-pending.csv", "orders.csv"]
