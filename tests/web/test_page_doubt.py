"""Doubt is loud: the page says at once that orders may be old, and finds out unknown outcomes."""

import asyncio
import re

from tests.waiting import until
from tests.web.browser import Page
from tests.web.conftest import OpenPage, Stack

AS_OF = re.compile(r"Orders as of \d\d:\d\d:\d\d, (.+)")


def banner(page: Page) -> str:
    element = page.find("#doubt")
    return element.text if element.is_displayed() else ""


def is_dimmed(page: Page) -> bool:
    filtered: str = page.run("return getComputedStyle(document.querySelector('#rows tr')).filter")
    return filtered == "grayscale(1)"


async def test_a_lost_connection_is_shown_across_the_page_until_it_is_back(stack: Stack, open_page: OpenPage) -> None:
    await stack.create("Ada")
    page = open_page(stack.url)
    page.until_live()
    page.until(lambda: len(page.rows) == 1, "the order")
    assert banner(page) == ""
    assert not is_dimmed(page)
    top = page.run("return document.querySelector('#rows tr').getBoundingClientRect().y")

    await stack.gateway.kill()

    page.until(lambda: re.search(r"reconnecting in \d+ s", banner(page)), "the countdown")
    assert AS_OF.fullmatch(banner(page)), banner(page)
    assert is_dimmed(page)
    assert page.run("return document.querySelector('#rows tr').getBoundingClientRect().y") == top, "nothing has moved"
    lowest = page.run("return document.querySelector('#doubt').getBoundingClientRect().bottom")
    seen = "[...document.querySelectorAll('h2')].filter((heading) => heading.checkVisibility())"
    headings = page.run(f"return {seen}.map((heading) => heading.getBoundingClientRect().y)")
    assert lowest <= min(headings), "the banner covers no heading"
    await stack.gateway.start()
    page.until_live()
    page.until(lambda: banner(page) == "", "no doubt any more")
    assert not is_dimmed(page)


async def test_a_request_that_times_out_is_doubt_at_once_and_its_outcome_is_found_out(
    stack: Stack, open_page: OpenPage
) -> None:
    await stack.create("Ada")
    page = open_page(stack.url)
    page.until_live()

    stack.gateway.pause()  # it has accepted the connection: the order will be added when it goes on
    try:
        page.fill_form("Grace", "Compiler")
        page.until(
            lambda: "not known whether the order for Grace · Compiler was added" in toasts(page), "that it is not known"
        )
        page.until(lambda: banner(page) != "", "the banner")
        assert page.find("#customer_name").get_attribute("value") == "Grace"
    finally:
        stack.gateway.resume()

    page.until(lambda: "The order for Grace · Compiler was added." in toasts(page), "that it was added")
    page.until(lambda: [row.customer for row in page.rows] == ["Grace", "Ada"], "one of it")
    page.until(lambda: page.find("#customer_name").get_attribute("value") == "", "an empty form")
    assert await stack.orders.count_documents({}) == 2


async def test_when_only_the_answer_was_lost_the_order_is_found_and_the_form_emptied(
    stack: Stack, open_page: OpenPage
) -> None:
    page = open_page(stack.url)
    page.until_live()
    lose_answers(page, reaches_server=True)

    page.fill_form("Grace", "Compiler")

    page.until(lambda: "The order for Grace · Compiler was added." in toasts(page), "that it was added")
    assert page.find("#customer_name").get_attribute("value") == ""
    assert await stack.orders.count_documents({}) == 1


async def test_an_order_that_was_not_added_is_reported_once_that_is_certain(stack: Stack, open_page: OpenPage) -> None:
    page = open_page(stack.url)
    page.until_live()
    lose_answers(page, reaches_server=False)

    page.fill_form("Grace", "Compiler")

    page.until(lambda: "not known whether the order for Grace" in toasts(page), "that it is not known")
    assert "was not added" not in toasts(page)
    page.until(lambda: "The order for Grace · Compiler was not added. Try again." in toasts(page), "that it was not")
    assert page.find("#customer_name").get_attribute("value") == "Grace", "to try again"
    page.run("window.fetch = window.realFetch")
    page.click("#compose [type=submit]")
    page.until(lambda: [row.customer for row in page.rows] == ["Grace"], "added now")


async def test_changes_whose_answer_was_lost_are_found_out_too(stack: Stack, open_page: OpenPage) -> None:
    order_id = await stack.create("Ada")
    page = open_page(stack.url)
    page.until_live()
    lose_answers(page, reaches_server=True)

    page.find(f"tr[data-id='{order_id}'] select").send_keys("shipped")
    page.until(lambda: "Ada · Laptop was set to shipped." in toasts(page), "that it was changed")
    page.click(f"tr[data-id='{order_id}'] button[aria-label^='Delete']")
    page.run("window.dispatchEvent(new Event('pagehide'))")

    page.until(lambda: "Ada · Laptop was deleted." in toasts(page), "that it was deleted")
    page.until(lambda: page.rows == [], "no order")


async def test_a_stream_that_is_never_answered_is_reopened(stack: Stack, open_page: OpenPage) -> None:
    await stack.create("Ada")
    page = open_page("about:blank")
    page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _SWALLOW_FIRST_STREAM})

    page.driver.get(f"{stack.url}/?transport=sse")

    page.until(lambda: page.run("return window.swallowed") == 1, "the first stream swallowed")
    page.until_live("SSE")


async def test_a_browser_that_believes_itself_offline_is_asked_and_not_believed(
    stack: Stack, open_page: OpenPage
) -> None:
    for transport in ("WebSocket", "SSE"):
        page = open_page(f"{stack.url}/?transport={transport.lower()}")
        page.until_live(transport)

        page.run("window.dispatchEvent(new Event('offline'))")

        page.until_live(transport)


async def test_a_frozen_gateway_is_noticed_over_sse_by_its_silence(stack: Stack, open_page: OpenPage) -> None:
    await stack.create("Ada")
    page = open_page(f"{stack.url}/?transport=sse")
    page.until_live("SSE")

    stack.gateway.pause()
    try:
        await until(lambda: banner(page) != "", "the banner", 40)
        assert AS_OF.fullmatch(banner(page)), banner(page)
    finally:
        stack.gateway.resume()

    await until(lambda: banner(page) == "", "no doubt any more")
    await asyncio.to_thread(page.until_live, "SSE")


def toasts(page: Page) -> str:
    return page.find("#toasts").text


def lose_answers(page: Page, *, reaches_server: bool) -> None:
    """Have the page's writes fail as if the connection had broken, after or before they reached the server."""
    page.run(
        """
        window.realFetch ??= window.fetch;
        const reaches = arguments[0];
        window.fetch = async (url, options) => {
          if (!options?.method) return realFetch(url, options);
          if (reaches) await realFetch(url, options);
          throw new TypeError("Failed to fetch");
        };
        """,
        reaches_server,
    )


_SWALLOW_FIRST_STREAM = """
  window.swallowed = 0;
  const never = (signal) => new Promise((_, fail) => signal?.addEventListener("abort", () => fail(signal.reason)));
  const isFirst = (url) => String(url).includes("/api/orders/events") && window.swallowed++ === 0;
  const realFetch = window.fetch;
  window.fetch = (url, options) => isFirst(url) ? never(options?.signal) : realFetch(url, options);
  const RealSource = window.EventSource;
  const silent = () => Object.assign(new EventTarget(), { readyState: 0, close() {} });
  window.EventSource = function (url) { return isFirst(url) ? silent() : new RealSource(url); };
  Object.assign(window.EventSource, { OPEN: 1, CLOSED: 2 });
"""
