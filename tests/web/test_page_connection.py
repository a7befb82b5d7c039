"""The indicator tells the truth, and missed changes follow."""

from pathlib import Path

import pytest
from bson import ObjectId

from tests.web.conftest import OpenPage, Stack, StartStack


@pytest.mark.parametrize("transport", ["WebSocket", "polling", "SSE"])
async def test_after_the_gateway_was_killed_the_page_shows_the_missed_changes(
    stack: Stack, open_page: OpenPage, transport: str
) -> None:
    kept, doomed = await stack.create("Kept"), await stack.create("Doomed")
    page = open_page(f"{stack.url}/?transport={transport.lower()}")
    page.until_live(transport)

    await stack.gateway.kill()
    page.until(lambda: page.connection == f"reconnecting {transport}", "reconnecting")
    await stack.orders.update_one({"customer_name": "Kept"}, {"$set": {"status": "shipped"}})
    await stack.orders.delete_one({"customer_name": "Doomed"})
    # With the last of all ids: those that two processes make in the same second are in no order.
    new = {"_id": ObjectId("f" * 24), "customer_name": "New", "product_name": "Lamp", "status": "pending"}
    await stack.orders.insert_one(new)
    await stack.gateway.start()

    page.until_live(transport)
    page.until_customers("New", "Kept")  # the missed changes
    assert (shown := page.row(kept)) is not None
    assert shown.status == "shipped"
    expected = [
        "insert New · Lamp: pending",
        "delete Doomed · Laptop: was pending",
        "update Kept · Laptop: pending → shipped",
    ]
    page.until(lambda: page.log == expected, "each missed change once, in order")
    assert page.row(doomed) is None


async def test_without_the_socket_io_client_the_page_follows_by_sse(
    start_stack: StartStack, open_page: OpenPage, tmp_path: Path
) -> None:
    stack = await start_stack({"CLIENT_DIR": str(tmp_path)})
    page = open_page(stack.url)

    page.until_live("SSE")
    order_id = await stack.create("Ada")

    page.until(lambda: page.row(order_id) is not None, "the new order")


async def test_a_page_whose_history_is_gone_reads_the_list_again_and_says_so(
    start_stack: StartStack, open_page: OpenPage
) -> None:
    stack = await start_stack({})
    await stack.create("Ada")
    page = open_page(stack.url)
    page.until_live()

    await stack.orders.drop()
    page.until(lambda: page.rows == [], "no orders")
    page.until(lambda: any("was dropped" in line for line in page.log), "the notice")
    order_id = await stack.create("Grace")

    page.until(lambda: [row.id for row in page.rows] == [order_id], "life after the drop")
    page.until_live()


async def test_without_network_the_page_says_offline(stack: Stack, open_page: OpenPage) -> None:
    page = open_page(stack.url)
    page.until_live()

    page.driver.set_network_conditions(offline=True, latency=0, throughput=-1)
    await stack.gateway.kill()
    page.until(lambda: page.connection.startswith("offline"), "offline")

    page.driver.delete_network_conditions()
    await stack.gateway.start()
    page.until_live()


async def test_a_page_that_could_not_read_the_list_claims_nothing_and_fills_in_later(
    stack: Stack, open_page: OpenPage
) -> None:
    order_id = await stack.create("Ada")
    page = open_page("about:blank")
    page.driver.execute_cdp_cmd("Network.enable", {})
    page.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/api/orders?*"]})

    page.driver.get(stack.url)
    page.until(lambda: page.connection == "connecting WebSocket", "no claim to be live without a list")
    page.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})

    page.until_live()
    page.until(lambda: [row.id for row in page.rows] == [order_id], "the list")
