"""The page shows the orders, and each change to them, whatever program makes it."""

import asyncio
import re
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from selenium.webdriver.support.select import Select

from tests.web.browser import Page, Row
from tests.web.conftest import OpenPage, Stack

STALE_TIME = datetime(2020, 1, 1, tzinfo=UTC)


def order(customer: str, status: str = "pending") -> dict[str, Any]:
    return {"customer_name": customer, "product_name": "Lamp", "status": status, "updated_at": STALE_TIME}


def by_keyboard(page: Page, id: str, status: str) -> None:
    """Choose a status in a row as a select is used from the keyboard."""
    select = page.find(f"tr[data-id='{id}'] select")
    select.send_keys(status)
    select.send_keys("\n")


async def test_the_page_shows_the_orders_newest_first(stack: Stack, open_page: OpenPage) -> None:
    ada = await stack.create("Ada", "Laptop", "shipped")
    grace = await stack.create("Grace", "Compiler")

    page = open_page(stack.url)

    expected = [Row(grace, "Grace", "Compiler", "pending"), Row(ada, "Ada", "Laptop", "shipped")]
    page.until(lambda: page.rows == expected, f"{expected}")
    page.until_live()
    assert page.driver.title == "Real-time orders"
    assert page.find("#indicator-server").get_attribute("textContent") == "replica-1"
    assert page.flashes == []


async def test_changes_by_rest_appear_with_a_flash_and_a_line_in_the_log(stack: Stack, open_page: OpenPage) -> None:
    page = open_page(stack.url)
    page.until_live()

    order_id = await stack.create("Ada")
    page.until(lambda: page.row(order_id) == Row(order_id, "Ada", "Laptop", "pending"), "the new order")
    await (await stack.http.put(f"{stack.url}/api/orders/{order_id}", json={"status": "shipped"})).release()
    page.until(lambda: page.row(order_id) == Row(order_id, "Ada", "Laptop", "shipped"), "the changed order")
    await (await stack.http.delete(f"{stack.url}/api/orders/{order_id}")).release()
    page.until(lambda: page.row(order_id) is None, "the order gone")

    page.until(
        lambda: page.flashes == [f"insert {order_id}", f"update {order_id}", f"delete {order_id}"], "three flashes"
    )
    expected = [
        "delete Ada · Laptop: was shipped",
        "update Ada · Laptop: pending → shipped",
        "insert Ada · Laptop: pending",
    ]
    page.until(lambda: page.log == expected, "three lines")
    page.until(lambda: page.run("return document.querySelectorAll('#rows tr').length") == 0, "the row has collapsed")


async def test_changes_made_in_mongodb_appear_on_every_page(stack: Stack, open_page: OpenPage) -> None:
    pages = [open_page(stack.url), open_page(f"{stack.url}/?transport=sse")]
    for page, transport in zip(pages, ["WebSocket", "SSE"], strict=True):
        page.until_live(transport)

    inserted = await stack.orders.insert_many([order("Ada"), order("Grace"), order("Alan")])
    ada, grace, alan = map(str, inserted.inserted_ids)
    await stack.orders.update_one({"_id": inserted.inserted_ids[0]}, {"$set": {"status": "delivered"}})
    await stack.orders.replace_one({"_id": inserted.inserted_ids[1]}, order("Grace Hopper"))
    await stack.orders.delete_one({"_id": inserted.inserted_ids[2]})

    for page in pages:
        expected = [Row(grace, "Grace Hopper", "Lamp", "pending"), Row(ada, "Ada", "Lamp", "delivered")]
        page.until(lambda page=page, expected=expected: page.rows == expected, "the database's state")  # type: ignore[misc]
        page.until(lambda page=page: len(page.log) == 6, "six lines")  # type: ignore[misc]
        assert page.log[0] == "delete Alan · Lamp: was pending"
        assert page.log[1] == "update Grace Hopper · Lamp: customer Grace → Grace Hopper"
        assert alan not in {row.id for row in page.rows}


async def test_changes_by_this_page_are_marked_as_its_own(stack: Stack, open_page: OpenPage) -> None:
    page, other = open_page(stack.url), open_page(stack.url)
    page.until_live()
    other.until_live()

    page.fill_form("Ada Lovelace", "Engine")

    page.until(lambda: [row.customer for row in page.rows] == ["Ada Lovelace"], "the new order")
    other.until(lambda: [row.customer for row in other.rows] == ["Ada Lovelace"], "the new order on the other page")
    page.until(lambda: page.run("return document.querySelectorAll('.entry.own').length") == 1, "its own")
    assert other.run("return document.querySelectorAll('.entry.own').length") == 0
    assert page.find("#customer_name").get_attribute("value") == ""


async def test_a_row_is_changed_and_deleted_from_the_keyboard(stack: Stack, open_page: OpenPage) -> None:
    first, second = await stack.create("First"), await stack.create("Second")
    page = open_page(stack.url)
    page.until_live()

    by_keyboard(page, second, "delivered")
    page.until(lambda: f"update {second}" in page.flashes, "the change")
    document = await stack.orders.find_one({"customer_name": "Second"})
    assert document is not None
    assert document["status"] == "delivered"

    page.find(f"tr[data-id='{second}'] button:not(.row-open)").send_keys("\n")
    page.until(lambda: [row.id for row in page.rows] == [first], "only the first, once the time to undo it is over")
    focused = page.run("return document.activeElement.closest('tr')?.dataset.id")
    assert focused == first, "whoever works by keyboard stays in the table"


async def test_the_random_buttons_change_and_delete_until_nothing_is_left(stack: Stack, open_page: OpenPage) -> None:
    page = open_page(stack.url)
    page.until_live()
    assert not page.find("#update-random").is_enabled()
    assert not page.find("#delete-random").is_enabled()

    order_id = await stack.create("Ada")
    page.click("#update-random")
    page.until(lambda: f"update {order_id}" in page.flashes, "the update")
    assert (page.row(order_id) or Row("", "", "", "")).status in {"shipped", "delivered"}

    page.click("#delete-random")
    page.until(lambda: page.rows == [], "no orders")
    page.until(lambda: not page.find("#update-random").is_enabled(), "disabled again")
    assert await stack.orders.count_documents({}) == 0


async def test_an_error_of_the_server_appears_at_its_field(stack: Stack, open_page: OpenPage) -> None:
    page = open_page(stack.url)
    page.until_live()

    page.fill_form("   ", "Laptop")

    page.until(lambda: page.find("#customer_name-error").text == "must not be empty", "the objection")
    assert page.find("#customer_name").get_attribute("aria-invalid") == "true"
    assert page.find("#product_name-error").text == ""
    assert page.find("#product_name").get_attribute("value") == "Laptop"
    assert "was not added" in page.find("#toasts").text
    assert page.run("return document.activeElement.id") == "customer_name"
    assert await stack.orders.count_documents({}) == 0

    page.fill_form("Ada", "Laptop")
    page.until(lambda: len(page.rows) == 1, "the corrected order")
    page.until(lambda: page.find("#customer_name").get_attribute("value") == "", "the answer")
    assert page.find("#customer_name").get_attribute("aria-invalid") is None
    assert page.find("#toasts").text == "", "what was said of the earlier try is true no more"


async def test_the_filter_shows_one_status_and_orders_that_enter_and_leave_it(
    stack: Stack, open_page: OpenPage
) -> None:
    ada, grace = await stack.create("Ada", status="shipped"), await stack.create("Grace")
    page = open_page(stack.url)
    page.until_live()

    page.choose("shipped")
    page.until(lambda: [row.id for row in page.rows] == [ada], "shipped orders")
    for changed, status in ((grace, "shipped"), (ada, "delivered")):
        await (await stack.http.put(f"{stack.url}/api/orders/{changed}", json={"status": status})).release()
    await stack.create("Alan", status="pending")
    page.until(lambda: [row.id for row in page.rows] == [grace], "one entered, one left")
    page.until(lambda: page.log[:1] == ["left Ada · Laptop: no longer among the orders shown"], "that it left")

    page.choose("")
    page.until(lambda: [row.customer for row in page.rows] == ["Alan", "Grace", "Ada"], "all orders")
    linus = await stack.create("Linus", status="delivered")
    page.until(lambda: page.row(linus) is not None, "a later order of any status")


async def test_documents_of_any_shape_are_shown_and_none_is_executed(stack: Stack, open_page: OpenPage) -> None:
    page = open_page(stack.url)
    page.until_live()
    attack = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"

    await stack.orders.insert_many(
        [
            {"customer_name": attack, "product_name": attack, "status": attack, "updated_at": attack},
            {"customer_name": {"a": [1, None]}, "product_name": 7, "status": None, "updated_at": True},
            {"customer_name": "x" * 1_000_000},
            {"_id": "an id of another kind", "customer_name": "\u202eright to left\u0000"},
        ]
    )

    page.until(lambda: len(page.rows) == 4, "four rows")
    rows = {row.customer: row for row in page.rows}
    assert rows['{"a":[1,null]}'].product == "7"
    assert rows['{"a":[1,null]}'].status == "none"
    shown = next(customer for customer in rows if customer.startswith("<img"))
    assert attack.startswith(shown.rstrip("…"))
    page.driver.refresh()
    page.until_live()
    page.until(lambda: len(page.rows) == 4, "four rows from the list too")
    assert page.driver.title == "Real-time orders"
    assert page.run("return document.querySelectorAll('main img, main script').length") == 0


async def test_a_burst_of_changes_ends_in_the_state_of_the_database(stack: Stack, open_page: OpenPage) -> None:
    page = open_page(stack.url)
    page.until_live()

    inserted = await stack.orders.insert_many([order(f"Customer {number}") for number in range(300)])
    for status in ("shipped", "delivered"):
        await stack.orders.update_many({}, {"$set": {"status": status}})
    await stack.orders.delete_many({"_id": {"$in": inserted.inserted_ids[::2]}})

    expected = [str(kept) for kept in reversed(inserted.inserted_ids[1::2])]
    page.until(lambda: [row.id for row in page.all_rows] == expected, "what the database holds")
    assert {row.status for row in page.all_rows} == {"delivered"}
    page.until(lambda: re.fullmatch(r"1050 changes", page.find("#activity-count").text) is not None, "all counted")
    page.until(lambda: len(page.log) == 100, "once it is calm, the log goes further back")


async def test_changes_that_come_too_fast_to_be_followed_are_not_animated(stack: Stack, open_page: OpenPage) -> None:
    page = open_page(stack.url)
    page.until_live()
    kept = [page.run("return document.querySelectorAll('#rows tr').length")]

    # The page's clock stands still meanwhile, or changes would not come fast where the machine is busy.
    page.run("const at = performance.now(); performance.now = () => at;")
    for _ in range(10):
        await asyncio.gather(*(stack.orders.insert_one(order("Ada")) for _ in range(100)))
        kept.append(page.run("return document.querySelectorAll('#rows tr, #activity li').length"))
    page.until(lambda: page.find("#activity-count").text == "1000 changes", "all changes heard")

    assert len(page.flashes) <= 100, "those of the first moments"
    assert max(kept) <= 150, "rows in view, and the last lines of the log"
    page.run("delete performance.now;")
    page.until(lambda: len(page.log) == 100, "once it is calm, the log goes further back")
    for number in range(10):
        newest = ObjectId(f"7fffffff{number:016x}")  # above the thousand, some of which are of this second, too
        order_id = str((await stack.orders.insert_one({**order("Grace"), "_id": newest})).inserted_id)
        page.until(lambda order_id=order_id: page.row(order_id) is not None, "the order")  # type: ignore[misc]
        if f"insert {order_id}" in page.flashes:
            break
    else:
        raise AssertionError("nothing is animated any more")


async def test_the_log_can_stand_still_be_filtered_and_be_cleared(stack: Stack, open_page: OpenPage) -> None:
    page = open_page(stack.url)
    page.until_live()
    ada = await stack.create("Ada")
    page.until(lambda: len(page.log) == 1, "one line")

    page.click("#activity-pause")
    await (await stack.http.put(f"{stack.url}/api/orders/{ada}", json={"status": "shipped"})).release()
    page.until(lambda: page.find("#activity-count").text == "2 changes", "it goes on counting")
    assert page.log == ["insert Ada · Laptop: pending"]
    page.click("#activity-pause")
    page.until(lambda: len(page.log) == 2, "what has come meanwhile")

    Select(page.find("#activity-kind")).select_by_value("insert")
    page.until(lambda: page.log == ["insert Ada · Laptop: pending"], "inserts only")
    Select(page.find("#activity-kind")).select_by_value("")
    page.until(lambda: len(page.log) == 2, "all again")

    page.click("#activity-clear")
    page.until(lambda: page.log == [], "no line")
    assert page.find("#activity-empty").is_displayed()
    await stack.create("Grace")
    page.until(lambda: page.log == ["insert Grace · Laptop: pending"], "what comes next")
