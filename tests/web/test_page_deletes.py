"""No slip of a hand deletes the wrong order: deletions can be undone, and no row moves under a pointer or the focus."""

from bson import ObjectId
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.actions import interaction
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_input import PointerInput

from tests.waiting import until
from tests.web.browser import Page
from tests.web.conftest import OpenPage, Stack

UNDO_SECONDS = 10


def delete(id: str) -> str:
    return f"tr[data-id='{id}'] button[aria-label^='Delete']"


def undo(id: str) -> str:
    return f"tr[data-id='{id}'] .button-undo"


def top_of(page: Page, id: str) -> float:
    top: float = page.run(
        "return document.querySelector(`tr[data-id='${arguments[0]}']`).getBoundingClientRect().y", id
    )
    return top


def focused(page: Page) -> dict[str, str]:
    """The element with the focus: its tag, its row, its text."""
    found: dict[str, str] = page.run(
        """
        const { tagName, textContent } = document.activeElement;
        const row = document.activeElement.closest("tr")?.dataset.id ?? "";
        return { tag: tagName, row, text: tagName === "BUTTON" ? textContent : "" };
        """
    )
    return found


async def test_a_deletion_can_be_undone_and_is_sent_when_the_time_is_over(stack: Stack, open_page: OpenPage) -> None:
    kept, doomed = await stack.create("Kept"), await stack.create("Doomed")
    page = open_page(stack.url)
    page.until_live()

    page.click(delete(kept))
    page.click(delete(doomed))
    page.until(lambda: page.find(undo(kept)).is_displayed(), "Undo")
    page.click(undo(kept))
    assert await stack.orders.count_documents({}) == 2, "nothing was sent yet"

    await until(lambda: _count(stack, 1), "one order deleted")
    page.until(lambda: [row.id for row in page.rows] == [kept], "only the other one")
    assert page.find(delete(kept)).is_displayed()
    assert not page.find(undo(kept)).is_displayed()


async def _count(stack: Stack, wanted: int) -> bool:
    return await stack.orders.count_documents({}) == wanted


async def test_enter_pressed_five_times_deletes_one_order_at_most(stack: Stack, open_page: OpenPage) -> None:
    orders = [await stack.create(f"Customer {number}") for number in range(8)]
    page = open_page(stack.url)
    page.until_live()
    third = orders[-3]

    page.find(delete(third)).send_keys(Keys.ENTER * 5)

    page.until(lambda: focused(page)["row"] == third, "the focus stays in the row")
    assert focused(page)["tag"] == "TR", "on no control, least of all on one that deletes"
    leave_page(page)
    await until(lambda: _count(stack, 7), "one order deleted")
    page.until(lambda: page.row(third) is None, "its row gone")
    page.until(lambda: focused(page)["tag"] == "TR", "the focus is on a row")
    assert focused(page)["row"] != third
    page.driver.switch_to.active_element.send_keys(Keys.ENTER * 5)
    assert page.run("return document.querySelectorAll('[data-deletion=waiting]').length") == 0


async def test_enter_pressed_five_times_on_the_random_button_deletes_one_order(
    stack: Stack, open_page: OpenPage
) -> None:
    for number in range(8):
        await stack.create(f"Customer {number}")
    page = open_page(stack.url)
    page.until_live()
    page.until(lambda: page.find("#delete-random").is_enabled(), "enabled")

    page.run("document.querySelector('#delete-random').focus()")
    for _ in range(5):
        ActionChains(page.driver).send_keys(Keys.ENTER).perform()

    assert page.run("return document.querySelectorAll('[data-deletion=waiting]').length") == 1
    assert focused(page)["tag"] == "TR"


def leave_page(page: Page) -> None:
    """Let the page believe that it is out of sight for a moment."""
    page.run(
        """
        Object.defineProperty(document, "hidden", {value: true, configurable: true});
        document.dispatchEvent(new Event("visibilitychange"));
        delete document.hidden;
        """
    )


async def test_leaving_the_page_sends_pending_deletions(stack: Stack, open_page: OpenPage) -> None:
    doomed = await stack.create("Doomed")
    page = open_page(stack.url)
    page.until_live()

    page.click(delete(doomed))
    page.until(lambda: page.find(undo(doomed)).is_displayed(), "Undo")
    page.driver.get("about:blank")

    await until(lambda: _count(stack, 0), "the order deleted", UNDO_SECONDS - 2)


async def test_rows_do_not_move_under_the_pointer_and_new_ones_wait_behind_a_button(
    stack: Stack, open_page: OpenPage
) -> None:
    orders = [await stack.create(f"Customer {number}") for number in range(6)]
    page = open_page(stack.url)
    page.until_live()
    page.until(lambda: len(page.rows) == 6, "six rows")
    target, above = orders[2], orders[4]
    before = top_of(page, target)
    ActionChains(page.driver).move_to_element(page.find(delete(target))).perform()

    for number in range(3):
        await stack.create(f"New {number}")
    await (await stack.http.delete(f"{stack.url}/api/orders/{above}")).release()
    page.until(lambda: page.find("#orders-news").text == "3 new ↑", "three new")
    page.until(lambda: f"delete {above}" in page.flashes, "the deletion seen")

    assert top_of(page, target) == before
    assert page.find(f"tr[data-id='{above}'] .row-note").text == "deleted"
    under = page.run("return document.querySelector('tr:hover').dataset.id")
    assert under == target, "what is under the pointer is what was there"

    page.click("#orders-news")
    page.until(lambda: [row.customer for row in page.rows][:3] == ["New 2", "New 1", "New 0"], "the new ones")
    assert not page.find("#orders-news").is_displayed()
    assert page.run("return document.querySelectorAll('#rows tr').length") == 8


async def test_nothing_moves_under_the_pointer_however_many_orders_come(stack: Stack, open_page: OpenPage) -> None:
    orders = [await stack.create(f"Customer {number}") for number in range(6)]
    page = open_page(stack.url)
    page.until_live()
    page.until(lambda: len(page.rows) == 6, "six rows")
    target = orders[3]
    before = top_of(page, target)
    ActionChains(page.driver).move_to_element(page.find(f"tr[data-id='{target}'] .row-customer")).perform()

    for part in range(4):
        # Ids of ours are above those that the gateway has made in the same second.
        ids = [ObjectId(f"{'f' * 16}{part:04x}{number:04x}") for number in range(200)]
        await stack.orders.insert_many([{"_id": each, "customer_name": "New", "status": "pending"} for each in ids])
    page.until(lambda: page.find("#activity-count").text == "800 changes", "all changes heard")
    page.until(lambda: page.find(f"tr[data-id='{target}'] .row-note").text == "no longer here", "pushed out")
    assert top_of(page, target) == before
    assert page.run("return scrollY") == 0

    ActionChains(page.driver).move_to_element(page.find("h1")).perform()
    page.until(lambda: {row.customer for row in page.rows} == {"New"}, "the newest")


async def test_waiting_rows_are_shown_when_the_pointer_leaves_the_table(stack: Stack, open_page: OpenPage) -> None:
    first = await stack.create("First")
    page = open_page(stack.url)
    page.until(lambda: page.row(first) is not None, "the first")
    page.until_live()
    ActionChains(page.driver).move_to_element(page.find(f"tr[data-id='{first}'] .row-customer")).perform()
    await stack.create("Second")
    page.until(lambda: page.find("#orders-news").text == "1 new ↑", "one new")
    assert [row.id for row in page.rows] == [first]

    ActionChains(page.driver).move_to_element(page.find("h1")).perform()

    page.until(lambda: [row.customer for row in page.rows] == ["Second", "First"], "both")


async def test_rows_do_not_move_under_the_focus(stack: Stack, open_page: OpenPage) -> None:
    first = await stack.create("First")
    page = open_page(stack.url)
    page.until(lambda: page.row(first) is not None, "the first")
    page.until_live()
    page.run("document.querySelector('#rows select').focus()")

    second = await stack.create("Second")
    page.until(lambda: page.find("#orders-news").text == "1 new ↑", "one new")
    assert [row.id for row in page.rows] == [first]
    page.run("document.querySelector('#customer_name').focus()")

    page.until(lambda: [row.id for row in page.rows] == [second, first], "both")


async def test_on_a_touch_screen_rows_stay_until_something_else_is_touched(stack: Stack, open_page: OpenPage) -> None:
    first = await stack.create("First")
    page = open_page(stack.url)
    page.until(lambda: page.row(first) is not None, "the first")
    page.until_live()
    touch(page, f"tr[data-id='{first}'] .row-customer")

    await stack.create("Second")
    page.until(lambda: page.find("#orders-news").text == "1 new ↑", "one new")
    touch(page, "h1")

    page.until(lambda: [row.customer for row in page.rows] == ["Second", "First"], "both")


def touch(page: Page, selector: str) -> None:
    finger = PointerInput(interaction.POINTER_TOUCH, "finger")  # type: ignore[no-untyped-call]
    builder = ActionBuilder(page.driver, mouse=finger)
    builder.pointer_action.move_to(page.find(selector)).pointer_down().pointer_up()  # type: ignore[no-untyped-call]
    builder.perform()


async def test_the_undo_of_a_row_that_a_filter_hides_stays_within_reach(stack: Stack, open_page: OpenPage) -> None:
    doomed = await stack.create("Doomed")
    page = open_page(stack.url)
    page.until_live()
    page.click(delete(doomed))
    page.until(lambda: page.find(undo(doomed)).is_displayed(), "Undo")

    page.choose("shipped")
    page.until(lambda: page.find("#orders-empty").text == "No shipped orders.", "none shipped")
    page.click(".toast-action")
    page.choose("")

    page.until(lambda: page.find(delete(doomed)).is_displayed(), "it can be deleted, so it is not being deleted")
