"""The rows are exactly the orders of the database; an order that leaves the view is no deletion."""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import wraps
from typing import Any

import pytest
from bson import ObjectId

from services.common.ids import id_text
from tests.waiting import meanwhile, until
from tests.web.browser import BrowserStalled, Page
from tests.web.conftest import OpenPage, Stack

Test = Callable[..., Awaitable[None]]

WINDOW = 500  # the most orders that the page keeps
ROWS = 45  # there are fewer in the page, however long the list is
# Two minutes show more than half a minute, and cost more: set `PAGE_WRITES_SECONDS=120` for them.
SECONDS = float(os.environ.get("PAGE_WRITES_SECONDS", "30"))
STATUSES = ["pending", "shipped", "delivered"]
NEWEST = datetime(2100, 1, 1, tzinfo=UTC)


def order(number: int, **more: Any) -> dict[str, Any]:
    fields = {"customer_name": f"Customer {number}", "product_name": "Lamp", "status": STATUSES[number % 3]}
    return {**fields, "updated_at": datetime.now(UTC), **more}


def shown(page: Page) -> list[str]:
    ids: list[str] = page.run("return [...document.querySelectorAll('#rows tr:not([inert])')].map((r) => r.dataset.id)")
    return ids


def rows_in_dom(page: Page) -> int:
    count: int = page.run("return document.querySelectorAll('#rows tr').length")
    return count


async def newest(stack: Stack, status: str | None = None, limit: int = 0) -> list[str]:
    found = stack.orders.find({} if status is None else {"status": status}, {"_id": 1}).sort("_id", -1).limit(limit)
    return [id_text(document["_id"]) async for document in found]


async def until_newest(page: Page, stack: Stack, status: str | None = None) -> None:
    """Wait for the rows in view to be the newest orders."""

    async def same() -> bool:
        rows = await asyncio.to_thread(shown, page)
        there = await newest(stack, status)
        return rows == there[: len(rows)] and len(rows) >= min(10, len(there))

    await until(same, "the newest orders of the database")


async def until_all(page: Page, stack: Stack, status: str | None = None) -> None:
    """Wait for all rows, from the first to the last, to be the orders of the database."""

    async def same() -> bool:
        rows = await asyncio.to_thread(lambda: page.all_rows)
        return [row.id for row in rows] == await newest(stack, status)

    await until(same, "the orders of the database", 60)


def despite_stalls(test: Test) -> Test:
    """Begin a test once more where the browser has stopped drawing frames.

    Chromium 156, without a graphics processor, does so now and then while one scrolls through rows that change: no
    frame comes any more, and no picture for DevTools, in any of its tabs, while scripts go on.
    """

    @wraps(test)
    async def begun_again(*, stack: Stack, open_page: OpenPage, **more: Any) -> None:
        try:
            await test(stack=stack, open_page=open_page, **more)
        except BrowserStalled:
            await stack.orders.delete_many({})
            await test(stack=stack, open_page=open_page, **more)

    return begun_again


@despite_stalls
async def test_deleted_newest_ones_are_filled_up_from_below_and_changed_old_ones_stay_out(
    stack: Stack, open_page: OpenPage
) -> None:
    ids = (await stack.orders.insert_many([order(number) for number in range(1500)])).inserted_ids
    page = open_page(stack.url)
    page.until_live()
    await until_newest(page, stack)
    page.until(lambda: page.find("#orders-count").text == "1,500", "all are counted")

    await stack.orders.delete_many({"_id": {"$in": ids[-10:]}})
    await stack.orders.update_many({"_id": {"$in": ids[:10]}}, {"$set": {"status": "shipped", "product_name": "Old"}})
    page.until(lambda: page.find("#activity-count").text == "20 changes", "all changes heard")

    await until_newest(page, stack)
    assert rows_in_dom(page) <= ROWS
    await until_all(page, stack)


async def test_rows_that_newer_ones_push_out_go_and_their_changes_are_no_deletions(
    stack: Stack, open_page: OpenPage
) -> None:
    old = (await stack.orders.insert_many([order(number) for number in range(WINDOW)])).inserted_ids
    page = open_page(stack.url)
    page.until_live()
    await until_newest(page, stack)

    for part in range(4):
        await stack.orders.insert_many([order(number) for number in range(part * 150, part * 150 + 150)])
    await until_newest(page, stack)
    await stack.orders.update_many({"_id": {"$in": old[:50]}}, {"$set": {"product_name": "Old"}})
    page.until(lambda: "650 changes" in page.find("#activity-count").text, "the changes heard")

    assert [flash for flash in page.flashes if flash.startswith("delete")] == []
    assert {line.split()[0] for line in page.log[:50]} == {"update"}
    assert rows_in_dom(page) <= ROWS


@despite_stalls
async def test_all_orders_can_be_scrolled_through_while_others_write(stack: Stack, open_page: OpenPage) -> None:
    ids = (await stack.orders.insert_many([order(number) for number in range(2400)])).inserted_ids
    page = await asyncio.to_thread(open_page, stack.url)
    await asyncio.to_thread(page.until_live)
    # What is kept is bounded at both ends, however far one scrolls.
    await asyncio.to_thread(page.run, "document.querySelector('#customer_name').focus()")
    async with Writer(stack).at_work():
        rows = await asyncio.to_thread(lambda: page.all_rows_in_motion)
    seen = {row.id for row in rows}
    untouched = [str(each) for each in ids[700:1700]]
    assert [each for each in untouched if each not in seen] == [], "none is left out, whatever is written meanwhile"

    await until_newest(page, stack)
    # Into the middle, where orders are changed, deleted and inserted: above, in and below what is in view.
    await asyncio.to_thread(page.run, "scrollTo(0, 80000)")
    places = "return [...document.querySelectorAll('#rows tr')].map((row) => Number(row.ariaRowIndex))"

    async def is_there() -> bool:
        found = await asyncio.to_thread(page.run, places)
        return len(found) > 20 and min(found) > 1000

    await until(is_there, "rows in the middle")
    in_view = await asyncio.to_thread(shown, page)
    gone, changed = ObjectId(in_view[8]), ObjectId(in_view[9])
    top = "return document.querySelector(`tr[data-id='${arguments[0]}']`).getBoundingClientRect().top"
    before = await asyncio.to_thread(page.run, top, str(changed))
    await stack.orders.delete_many({"_id": {"$in": [ids[-1], ids[-2], gone, ids[0]]}})
    await stack.orders.insert_one(order(5000))
    await stack.orders.update_one({"_id": changed}, {"$set": {"customer_name": "Changed here"}})
    name = "return document.querySelector(`tr[data-id='${arguments[0]}'] .row-customer`).textContent"
    await until(lambda: asyncio.to_thread(lambda: page.run(name, str(changed)) == "Changed here"), "the change")
    assert await asyncio.to_thread(page.run, top, str(changed)) == before, "nothing in view has moved"
    note = "return document.querySelector(`tr[data-id='${arguments[0]}'] .row-note`).textContent"
    assert await asyncio.to_thread(page.run, note, str(gone)) == "deleted"
    await asyncio.to_thread(page.click, "#orders-news")
    await until_newest(page, stack)
    assert await asyncio.to_thread(page.run, "return document.querySelector('#rows tr').ariaRowIndex") == "2"


async def sorted_ids(stack: Stack, field: str, direction: int) -> list[str]:
    found = stack.orders.find({}, {"_id": 1}).sort([(field, direction), ("_id", direction)])
    return [id_text(document["_id"]) async for document in found]


@pytest.mark.parametrize("sort", ["customer_name", "-updated_at"])
@despite_stalls
async def test_a_sorted_list_can_be_scrolled_through_while_others_write(
    stack: Stack, open_page: OpenPage, sort: str
) -> None:
    ids = (await stack.orders.insert_many([order(number * 7919 % 1800) for number in range(1800)])).inserted_ids
    page = await asyncio.to_thread(open_page, f"{stack.url}/?sort={sort}")
    await asyncio.to_thread(page.until_live)
    await asyncio.to_thread(page.run, "document.querySelector('#customer_name').focus()")
    async with Writer(stack).at_work():
        await asyncio.to_thread(lambda: page.all_rows_in_motion)
    seen = set(await asyncio.to_thread(page.run, "return [...everSeen]"))
    field, direction = sort.removeprefix("-"), -1 if sort.startswith("-") else 1
    there = await sorted_ids(stack, field, direction)
    untouched = {str(each) for each in ids[100:1100]}
    missed = [place for place, each in enumerate(there) if each in untouched and each not in seen]
    assert missed == [], "none is left out, whatever is written meanwhile"

    async def is_all() -> bool:
        rows = await asyncio.to_thread(lambda: page.all_rows)
        return [row.id for row in rows] == await sorted_ids(stack, field, direction)

    await until(is_all, "the orders of the database, in their order", 90)

    # Into the middle, where orders come, go, and move to other places.
    await asyncio.to_thread(page.run, "scrollTo(0, 60000)")
    places = "return [...document.querySelectorAll('#rows tr')].map((row) => Number(row.ariaRowIndex))"

    async def is_there() -> bool:
        found = await asyncio.to_thread(page.run, places)
        return len(found) > 20 and min(found) > 1000

    await until(is_there, "rows in the middle")
    there = await sorted_ids(stack, field, direction)
    in_view = await asyncio.to_thread(shown, page)
    first = there.index(in_view[0])
    assert in_view == there[first : first + len(in_view)]
    moved, gone, far = in_view[8], in_view[9], there[20]
    like = await stack.orders.find_one({"_id": ObjectId(in_view[12])}, {"_id": 0})
    assert like is not None
    await stack.orders.delete_one({"_id": ObjectId(gone)})
    await stack.orders.update_one({"_id": ObjectId(moved)}, {"$set": {"customer_name": "A", "updated_at": NEWEST}})
    await stack.orders.update_one({"_id": ObjectId(far)}, {"$set": like})
    await stack.orders.insert_one(like)
    await asyncio.to_thread(page.click, "#orders-news")

    async def is_at_the_top() -> bool:
        rows = await asyncio.to_thread(shown, page)
        there = await sorted_ids(stack, field, direction)
        return rows == there[: len(rows)] and len(rows) > 10 and rows[0] == moved

    await until(is_at_the_top, "the first orders")
    await until(is_all, "all orders again", 90)


async def test_an_order_that_leaves_the_filter_is_not_struck_out(stack: Stack, open_page: OpenPage) -> None:
    ada = await stack.create("Ada")
    page = open_page(stack.url)
    page.until_live()
    page.choose("pending")
    page.until(lambda: shown(page) == [ada], "the pending order")
    page.run(
        """
        window.leaving = [];
        new MutationObserver(() => {
          for (const row of document.querySelectorAll(".flash-left, .flash-delete")) {
            const line = getComputedStyle(row.querySelector(".row-customer")).textDecorationLine;
            leaving.push(`${row.querySelector(".row-note").textContent}, ${line}`);
          }
        }).observe(document.querySelector("#rows"), {subtree: true, attributeFilter: ["class"]});
        """
    )

    await (await stack.http.put(f"{stack.url}/api/orders/{ada}", json={"status": "shipped"})).release()

    page.until(lambda: page.find("#orders-empty").text == "No pending orders.", "a true word")
    page.until(lambda: page.run("return leaving"), "what was said of it")
    # Told once for each change of its classes; what it is now is told where the server was not yet asked to filter.
    assert set(page.run("return leaving")) <= {"no longer pending, none", "now shipped, none"}
    assert page.flashes[-1:] == [f"left {ada}"]


async def test_a_badge_always_has_the_colour_of_its_status(stack: Stack, open_page: OpenPage) -> None:
    ada = await stack.create("Ada")
    page = open_page(stack.url)
    page.until_live()
    stack.gateway.pause()
    try:
        page.find(f"tr[data-id='{ada}'] select").send_keys("delivered")
        badge = page.run("const b = document.querySelector('.badge'); return [b.value, b.dataset.status, b.ariaBusy]")
        assert badge == ["delivered", "delivered", "true"]
    finally:
        stack.gateway.resume()
    page.until(lambda: page.run("return document.querySelector('.badge').ariaBusy") is None, "the change done")
    assert page.run("return document.querySelector('.badge').dataset.status") == "delivered"


async def test_relative_times_are_right_at_every_second(stack: Stack, open_page: OpenPage) -> None:
    await stack.create("Ada")
    page = open_page(stack.url)
    page.until(lambda: len(shown(page)) == 1, "the order")
    for _ in range(6):
        said, age = page.run(
            "const t = document.querySelector('#rows time');"
            "return [t.textContent, (Date.now() - Date.parse(t.dateTime)) / 1000]"
        )
        seconds = 0 if said == "now" else int(said.removesuffix("s ago"))
        assert seconds <= age < seconds + 2.5, f"{said} was said of {age} s ago"
        await asyncio.sleep(0.7)  # a plain sleep: the passing of time itself is tested


async def test_orders_with_any_id_are_shown_in_their_places(stack: Stack, open_page: OpenPage) -> None:
    first = ObjectId()
    await stack.orders.insert_one(order(1, _id=first))
    await stack.orders.insert_many([order(number, _id=f"order/{number}?#%") for number in range(3)])
    page = open_page(stack.url)
    page.until_live()
    await until_newest(page, stack)

    await stack.orders.insert_many([order(4, _id="order/10"), order(5), order(6, _id="zeta")])
    await stack.orders.insert_many([order(7, _id=5), order(8, _id="5"), order(9, _id=str(first))])
    await stack.orders.update_one({"_id": "order/1?#%"}, {"$set": {"status": "delivered"}})

    await until_newest(page, stack)
    page.until(lambda: page.flashes.count("update order/1?#%") == 1, "the change seen")
    page.run(
        """
        window.asked = [];
        const real = window.fetch;
        window.fetch = (url, options) => (asked.push(`${options?.method} ${url}`), real(url, options));
        """
    )
    page.find("tr[data-id='order/1?#%'] select").send_keys("pending")
    page.until(lambda: page.run("return asked") == ["PUT /api/orders/order%2F1%3F%23%25"], "asked for by its id")
    changed = {"_id": "order/1?#%", "status": "pending"}
    await until(lambda: stack.orders.find_one(changed), "the order is changed")


class Writer:
    """Other programs that write anything: the newest orders go, old ones change, new ones come."""

    def __init__(self, stack: Stack) -> None:
        self._orders = stack.orders
        self._random = random.Random(7)
        self._number = 0

    def at_work(self) -> AbstractAsyncContextManager[None]:
        return meanwhile(self._write_always())

    async def _write_always(self) -> None:
        while True:
            await self._write()
            await asyncio.sleep(0.01)

    async def _write(self) -> None:
        self._number += 1
        kind = self._random.random()
        if kind < 0.35:
            await self._orders.insert_one(order(self._number))
            return
        end, direction = self._random.choice([(20, -1), (20, 1), (WINDOW + 100, -1)])
        found = self._orders.find({}, {"_id": 1}).sort("_id", direction).skip(self._random.randrange(end)).limit(1)
        async for document in found:
            if kind < 0.7 and direction == -1:
                await self._orders.delete_one(document)
            else:
                await self._orders.update_one(document, {"$set": {"status": self._random.choice(STATUSES)}})


@pytest.mark.timeout(SECONDS * 2 + 300)
@despite_stalls
async def test_under_mixed_writes_breaks_and_filters_the_rows_are_the_newest_orders(
    stack: Stack, open_page: OpenPage
) -> None:
    await stack.orders.insert_many([order(number) for number in range(1200)])
    page = await asyncio.to_thread(open_page, stack.url)
    await asyncio.to_thread(page.until_live)
    writer = Writer(stack)
    rounds = max(3, round(SECONDS / 8))
    for turn in range(rounds):
        status = [None, "pending", None, "shipped"][turn % 4]
        async with writer.at_work():
            await asyncio.to_thread(page.click, f"#filter [value='{status or ''}']")
            await asyncio.sleep(SECONDS / rounds / 2)  # the length of the run, not a wait for something
            if turn % 3 == 1:
                await stack.gateway.kill()
                await stack.gateway.start()
            for _ in range(5):
                assert await asyncio.to_thread(rows_in_dom, page) <= ROWS
                await asyncio.sleep(SECONDS / rounds / 10)
        await until_newest(page, stack, status)
    await until_all(page, stack, status)
