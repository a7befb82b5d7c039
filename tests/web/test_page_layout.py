"""The page fits every screen, in the light and in the dark, for every reader; pictures stay in the test's folder."""

from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Keys

from tests.web.browser import DESKTOP, PHONE, Page, Screen
from tests.web.conftest import OpenPage, Stack


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_nothing_sticks_out_of_the_screen(
    stack: Stack, open_page: OpenPage, tmp_path: Path, screen: Screen, dark: bool
) -> None:
    for number in range(12):
        await stack.create(f"A customer with quite a long name {number}", "A product that is hard to describe in short")
    page = open_page(stack.url, screen=screen, dark=dark)
    page.until_live()
    page.until(lambda: len(page.rows) == 12, "twelve rows")
    page.click("#update-random")
    page.until(lambda: len(page.log) == 1, "one line")
    page.driver.save_screenshot(str(tmp_path / "page.png"))

    assert page.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    outside = page.run(
        """
        return [...document.querySelectorAll("header *, main *")]
          .filter((element) => element.checkVisibility() && !element.closest("thead, .visually-hidden"))
          .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
          .map((element) => element.outerHTML.slice(0, 80));
        """
    )
    assert outside == []
    background = page.run("return getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(20, 22, 26)") == dark


async def test_on_a_phone_each_order_is_a_card(stack: Stack, open_page: OpenPage) -> None:
    order_id = await stack.create("Ada")
    page = open_page(stack.url, screen=PHONE)
    page.until(lambda: page.row(order_id) is not None, "the order")

    top = {
        part: page.find(f"tr[data-id='{order_id}'] .row-{part}").location["y"] for part in ("customer", "product", "id")
    }

    assert top["customer"] < top["product"] < top["id"]
    assert page.run("return document.querySelector('thead').offsetWidth") <= 1


async def test_with_reduced_motion_a_deleted_row_goes_without_animation(stack: Stack, open_page: OpenPage) -> None:
    order_id = await stack.create("Ada")
    page = open_page(stack.url, reduced_motion=True)
    page.until_live()

    await (await stack.http.delete(f"{stack.url}/api/orders/{order_id}")).release()

    page.until(lambda: f"delete {order_id}" in page.flashes, "the flash")
    page.until(lambda: page.run("return document.querySelectorAll('#rows tr').length") == 0, "the row gone")


AXE = Path("node_modules/axe-core/axe.min.js")
ZOOMED = Screen(320, 256)  # 1280 × 1024 at 400 %
WIDE = Screen(3840, 2160)


def violations(page: Page) -> list[str]:
    """What axe-core has to object to in the page as it is now."""
    page.driver.set_script_timeout(30)
    page.run(AXE.read_text())
    found: list[dict[str, Any]] = page.driver.execute_async_script(
        "const done = arguments[0]; axe.run().then(({ violations }) => done(violations));"
    )
    return [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in found]


def unfold(page: Page) -> None:
    for fold in page.driver.find_elements("css selector", ".fold"):
        if fold.is_displayed():
            fold.click()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_axe_finds_nothing_to_object_to(
    stack: Stack, open_page: OpenPage, tmp_path: Path, screen: Screen, dark: bool
) -> None:
    ids = [await stack.create(f"Customer {number}", status="shipped") for number in range(30)]
    page = open_page(stack.url, screen=screen, dark=dark)
    page.until_live()
    page.until(lambda: len(page.rows) > 3, "rows")
    assert violations(page) == []

    page.click(f"tr[data-id='{ids[-1]}'] button[aria-label^='Delete']")
    unfold(page)
    page.click("#indicator summary")
    await stack.create("Flashing")
    await (await stack.http.put(f"{stack.url}/api/orders/{ids[-2]}", json={"status": "delivered"})).release()
    await (await stack.http.delete(f"{stack.url}/api/orders/{ids[-3]}")).release()
    page.until(lambda: len(page.flashes) >= 2, "flashes")
    page.driver.save_screenshot(str(tmp_path / "flashing.png"))
    assert violations(page) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_axe_finds_nothing_to_object_to_in_the_description_of_the_api(
    stack: Stack, open_page: OpenPage, screen: Screen, dark: bool
) -> None:
    page = open_page(f"{stack.url}/api/docs", screen=screen, dark=dark)
    page.run("for (const each of document.querySelectorAll('details')) each.open = true")
    assert violations(page) == []


async def test_in_forced_colours_what_is_chosen_and_what_a_badge_is_can_still_be_seen(
    stack: Stack, open_page: OpenPage, tmp_path: Path
) -> None:
    order_id = await stack.create("Ada")
    page = open_page(stack.url)
    page.until_live()
    page.until(lambda: page.row(order_id) is not None, "the order")
    features = [{"name": "forced-colors", "value": "active"}]
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    page.driver.save_screenshot(str(tmp_path / "forced.png"))

    style = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    assert page.run(style, "#filter label:has(:checked)", "outlineStyle") == "solid"
    assert page.run(style, "#filter label:not(:has(:checked))", "outlineStyle") == "none"
    assert page.run(style, ".badge", "appearance") == "auto", "a list, with its arrow and its border"
    dot = page.run(style, ".indicator-dot", "backgroundColor")
    assert dot not in {"rgba(0, 0, 0, 0)", page.run(style, "body", "backgroundColor")}
    assert violations(page) == []


@pytest.mark.parametrize("screen", [ZOOMED, PHONE, Screen(768, 1024), DESKTOP, WIDE], ids=str)
async def test_nothing_leaves_its_card(stack: Stack, open_page: OpenPage, tmp_path: Path, screen: Screen) -> None:
    for number in range(40):
        await stack.create(
            f"A customer with quite a long name {number}", "Averyverylongproductnamewithoutanyspaces" * 3
        )
    page = open_page(stack.url, screen=screen)
    page.until_live()
    page.until(lambda: len(page.rows) > 3, "rows")
    unfold(page)
    page.until(lambda: page.find("#customer_name").is_displayed(), "the form")
    page.click("#indicator summary")
    page.driver.save_screenshot(str(tmp_path / "page.png"))

    outside = page.run(
        """
        const outside = [];
        for (const card of document.querySelectorAll(".card, .masthead, .row, .indicator-more")) {
          const edge = card.getBoundingClientRect();
          for (const element of card.querySelectorAll("*")) {
            if (!element.checkVisibility() || element.closest(".visually-hidden, thead, option, .row-height")) continue;
            const box = element.getBoundingClientRect();
            const beyond = box.right > edge.right + 1 || box.left < edge.left - 1;
            const below = card.matches(".row") && (box.bottom > edge.bottom + 1 || box.top < edge.top - 1);
            if (box.width === 0 || !(beyond || below)) continue;
            outside.push(`${card.className}: ${element.outerHTML.slice(0, 120)}`);
          }
        }
        return outside;
        """
    )
    assert outside == []
    assert page.run("return document.documentElement.scrollWidth <= innerWidth")
    cut = "return [...document.querySelectorAll('.row-id')].filter((id) => id.scrollWidth > id.clientWidth).length"
    assert page.run(cut) == 0, "the end of an id is what tells it from others"
    heights = page.run("return [...new Set([...document.querySelectorAll('#rows tr')].map((r) => r.offsetHeight))]")
    assert len(heights) == 1, "all rows are equally high"


async def test_on_a_phone_orders_are_above_the_fold(stack: Stack, open_page: OpenPage) -> None:
    for number in range(12):
        await stack.create(f"Customer {number}")
    page = open_page(stack.url, screen=PHONE)
    page.until_live()
    page.until(lambda: len(page.rows) > 3, "rows")

    bottoms = page.run("return [...document.querySelectorAll('#rows tr')].map((r) => r.getBoundingClientRect().bottom)")

    assert bottoms[0] < PHONE.height / 2, "the first ends in the upper half"
    assert len([bottom for bottom in bottoms if bottom <= PHONE.height]) >= 4


async def test_the_heads_stick_and_the_filter_does_not_jump(stack: Stack, open_page: OpenPage) -> None:
    for number in range(60):
        await stack.create(f"Customer {number}", status="shipped" if number == 7 else "pending")
    page = open_page(stack.url)
    page.until_live()
    page.run("scrollTo(0, 100)")
    place = "const { x, y } = document.querySelector('#filter').getBoundingClientRect(); return [x, y]"
    before = page.run(place)
    page.choose("shipped")
    page.until(lambda: len(page.rows) == 1, "one order")
    assert page.run(place) == before
    page.choose("")
    page.until(lambda: len(page.rows) > 10, "all orders")
    assert page.run(place) == before

    page.run("scrollTo(0, 1200)")

    head = "return document.querySelector('thead').getBoundingClientRect().top"
    bar = "return document.querySelector('#masthead').getBoundingClientRect().bottom"
    page.until(lambda: page.run(head) == page.run(bar), "the heads are right below the masthead")
    above = page.run("return document.elementFromPoint(500, arguments[0] + 10).tagName", page.run(bar))
    assert above == "TH", "rows pass below the heads"


async def test_text_of_any_direction_changes_nothing_else(stack: Stack, open_page: OpenPage) -> None:
    hebrew = "שלום עולם " * 12
    await stack.create(hebrew.strip(), "Lamp")
    await stack.create("\u202eevil\u2069", "Laptop")
    page = open_page(stack.url)
    page.until_live()
    page.until(lambda: len(page.rows) == 2, "two rows")
    await stack.create("\u202edlrow\u2069", "Laptop")
    page.until(lambda: len(page.log) == 1, "one line")

    cells = page.run("return [...document.querySelectorAll('.row-customer')].map((c) => getComputedStyle(c).direction)")
    assert cells == ["ltr", "ltr", "rtl"], "what is cut off is the end of the text, which is at the left"
    # Where each letter of the product is, in the title of the log's line: in their order, behind the customer.
    places = page.run(
        """
        const text = document.querySelector(".entry-title").firstChild;
        const placeOf = (index) => {
          const range = document.createRange();
          range.setStart(text, index);
          range.setEnd(text, index + 1);
          return range.getBoundingClientRect().left;
        };
        const start = text.data.indexOf("Laptop");
        return [...text.data].map((_, index) => index).slice(start).map(placeOf);
        """
    )
    assert places == sorted(places)
    assert len(set(places)) == len("Laptop")


async def test_the_table_is_one_tab_stop_and_arrows_change_no_order(stack: Stack, open_page: OpenPage) -> None:
    ids = [await stack.create(f"Customer {number}") for number in range(60)][::-1]
    page = open_page(stack.url)
    page.until_live()
    page.until(lambda: len(page.rows) > 10, "rows")

    def place() -> tuple[str, str]:
        found = page.run("const a = document.activeElement; return [a.tagName, a.closest('tr')?.dataset.id ?? '']")
        return found[0], found[1]

    def press(*keys: str) -> None:
        for key in keys:
            page.driver.switch_to.active_element.send_keys(key)

    stops = page.run("return [...document.querySelectorAll('#rows *, #rows')].filter((e) => e.tabIndex >= 0).length")
    assert stops == 1
    page.run("document.querySelector('#delete-random').focus()")
    press(Keys.TAB)
    assert place() == ("TR", ids[0])
    press(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_UP)
    assert place() == ("TR", ids[1])
    press(*[Keys.ARROW_DOWN] * 29)
    assert place() == ("TR", ids[30])
    assert page.run("return document.activeElement.ariaRowIndex") == "32"
    press(Keys.END)
    page.until(lambda: place() == ("TR", ids[-1]), "the last")
    press(Keys.PAGE_UP, Keys.PAGE_DOWN)
    page.until(lambda: place() == ("TR", ids[-1]), "the last again")
    press(Keys.HOME)
    page.until(lambda: place() == ("TR", ids[0]), "the first")
    press(Keys.ARROW_RIGHT)
    assert place() == ("SELECT", ids[0])
    press(Keys.ARROW_DOWN)
    assert place() == ("TR", ids[1]), "from a list of statuses too, the arrows lead to another row"
    press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert place() == ("BUTTON", ids[1])
    press(Keys.ESCAPE)
    assert place() == ("TR", ids[1])
    press(Keys.SPACE, Keys.DELETE)
    assert place() == ("TR", ids[1])
    press(Keys.ENTER)  # last: what it opens takes the focus once it is there
    page.until(lambda: page.run("return document.querySelector('#drawer')?.checkVisibility()"), "its details")

    assert await stack.orders.count_documents({"status": "pending"}) == 60
    assert page.run("return document.querySelectorAll('[data-deletion]:not([data-deletion=none])').length") == 0


async def test_the_focus_stays_on_its_order_when_that_is_scrolled_out_of_view(
    stack: Stack, open_page: OpenPage
) -> None:
    ids = [await stack.create(f"Customer {number}") for number in range(200)][::-1]
    page = open_page(stack.url)
    page.until_live()
    page.until(lambda: len(page.rows) > 10, "rows")
    page.run("document.querySelector(`tr[data-id='${arguments[0]}'] select`).focus()", ids[2])

    page.run("scrollTo(0, 5000)")
    page.until(lambda: page.row(ids[100]) is not None, "rows further down")

    focused = "return [document.activeElement.tagName, document.activeElement.closest('tr').dataset.id]"
    assert page.run(focused) == ["SELECT", ids[2]]
    page.run("scrollTo(0, 0)")
    page.until(lambda: page.row(ids[0]) is not None, "the first")
    assert page.run(focused) == ["SELECT", ids[2]]
    assert page.run("return document.querySelectorAll(`tr[data-id='${arguments[0]}']`).length", ids[2]) == 1
