"""The JavaScript library as the gateway serves it, in a real browser."""

from tests.service_process import ROOT
from tests.web.browser import Page
from tests.web.conftest import OpenPage, StartStack, browsers, open_page, start_stack

__all__ = ["browsers", "open_page", "start_stack"]  # fixtures

EXAMPLES = ROOT / "clients" / "js" / "examples"


def shown(page: Page) -> tuple[str, list[str]]:
    script = """
      const names = [...document.querySelectorAll("#orders li")].map((item) => item.textContent);
      return [document.getElementById("status").textContent, names];
    """
    status, names = page.run(script)
    return status, names


async def test_the_plain_example_shows_the_newest_orders(start_stack: StartStack, open_page: OpenPage) -> None:
    stack = await start_stack({"WEB_DIR": str(EXAMPLES)})
    await stack.orders.insert_many([{"customer_name": f"customer {n}", "status": "pending"} for n in range(12)])
    page = open_page(f"{stack.url}/plain.html")
    newest = [f"customer {n}" for n in range(11, 1, -1)]
    page.until(lambda: shown(page) == ("10 pending, live", newest))
    await stack.orders.update_one({"customer_name": "customer 11"}, {"$set": {"status": "shipped"}})
    await stack.orders.insert_one({"customer_name": "Ada", "status": "pending"})
    page.until(lambda: shown(page) == ("10 pending, live", ["Ada", *newest[1:]]))
