"""The page fits a phone and a desktop, in the light and in the dark; its pictures are left in the test's folder."""

from pathlib import Path

import pytest

from tests.web.browser import DESKTOP, PHONE, Screen
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
