"""The orders over HTTP, on a real MongoDB: the successful answers of each route."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import ClientResponse
from bson import Decimal128, ObjectId
from yarl import URL

from services.common.cursor import LAST_ORDINAL, Cursor
from tests.integration.rest_api import JOHN, Api, orders_at, serve, serve_orders, store_of


@pytest.fixture
async def api(mongodb_uri: str) -> AsyncIterator[Api]:
    async with serve_orders(mongodb_uri) as api:
        yield api


def next_page(reply: ClientResponse) -> str:
    link = reply.links.get("next")
    return str(URL(link["url"]).relative()) if link else ""


async def test_a_new_order_is_stored_and_answered_as_stored(api: Api) -> None:
    reply = await api.client.post("/api/orders", json=JOHN)
    order = await reply.json()
    assert reply.status == 201
    assert reply.content_type == "application/json"
    assert {**JOHN, "_id": order["_id"], "updated_at": order["updated_at"]} == order
    stored = await api.orders.find_one({"_id": ObjectId(order["_id"])})
    assert stored is not None
    assert stored["updated_at"] == datetime.fromisoformat(order["updated_at"])
    assert timedelta(0) <= datetime.now(UTC) - stored["updated_at"] < timedelta(seconds=30)
    assert reply.headers["Location"] == f"/api/orders/{order['_id']}"
    assert await (await api.client.get(reply.headers["Location"])).json() == order


async def test_a_change_touches_the_given_fields_and_the_time_only(api: Api) -> None:
    order = await (await api.client.post("/api/orders", json=JOHN)).json()
    reply = await api.client.put(f"/api/orders/{order['_id']}", json={"status": "shipped"})
    changed = await reply.json()
    assert reply.status == 200
    assert changed == {**order, "status": "shipped", "updated_at": changed["updated_at"]}
    assert changed["updated_at"] >= order["updated_at"]
    assert await (await api.client.get(f"/api/orders/{order['_id']}")).json() == changed


async def test_a_deleted_order_is_answered_as_it_was_and_then_gone(api: Api) -> None:
    order = await (await api.client.post("/api/orders", json=JOHN)).json()
    reply = await api.client.delete(f"/api/orders/{order['_id']}")
    assert (reply.status, await reply.json()) == (200, order)
    assert (await api.client.delete(f"/api/orders/{order['_id']}")).status == 404
    assert await api.orders.count_documents({}) == 0


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_an_unknown_order_is_not_found(api: Api, method: str) -> None:
    body = {"json": {"status": "shipped"}} if method == "PUT" else {}
    reply = await api.client.request(method, f"/api/orders/{'0' * 24}", **body)  # type: ignore[arg-type]
    problem = await reply.json(content_type="application/problem+json")
    assert (reply.status, problem["status"]) == (404, 404)
    assert problem["type"] == "urn:realtime-orders:problem:order-not-found"


async def test_a_list_shows_the_newest_first_and_its_pages_make_the_whole(api: Api) -> None:
    made = [(await (await api.client.post("/api/orders", json=JOHN)).json())["_id"] for _ in range(7)]
    shown: list[str] = []
    address = "/api/orders?limit=3"
    for count in (3, 3, 1):
        reply = await api.client.get(address)
        page = await reply.json()
        assert len(page) == count
        shown += [order["_id"] for order in page]
        address = next_page(reply)
    assert shown == sorted(made, reverse=True)
    assert address == ""


async def test_a_page_that_is_exactly_full_is_the_last(api: Api) -> None:
    for _ in range(3):
        await api.client.post("/api/orders", json=JOHN)
    assert "Link" not in (await api.client.get("/api/orders?limit=3")).headers


async def test_a_list_can_be_narrowed_by_status_and_customer(api: Api) -> None:
    for name, status in (("Ann & Bob", "pending"), ("Ann & Bob", "shipped"), ("Cyd", "shipped")):
        await api.client.post("/api/orders", json={**JOHN, "customer_name": name, "status": status})
    both = await api.client.get("/api/orders", params={"status": "shipped", "customer_name": "Ann & Bob", "limit": "1"})
    assert [(order["customer_name"], order["status"]) for order in await both.json()] == [("Ann & Bob", "shipped")]
    assert len(await (await api.client.get("/api/orders?status=shipped")).json()) == 2
    assert await (await api.client.get("/api/orders?status=delivered")).json() == []
    everybody = await (await api.client.get("/api/orders?status=shipped&status=pending")).json()
    assert len(everybody) == 3
    chosen = await api.client.get("/api/orders", params=[("id", order["_id"]) for order in everybody[:2]])
    assert await chosen.json() == everybody[:2]


async def test_the_link_to_the_next_page_keeps_the_conditions(api: Api) -> None:
    for _ in range(3):
        await api.client.post("/api/orders", json={**JOHN, "customer_name": "Ann & Bob; <x>"})
    reply = await api.client.get("/api/orders", params={"customer_name": "Ann & Bob; <x>", "limit": "2"})
    following = URL(next_page(reply))
    assert following.query["customer_name"] == "Ann & Bob; <x>"
    assert len(await (await api.client.get(following)).json()) == 1


async def test_documents_of_others_pass_unharmed(api: Api) -> None:
    key = ObjectId()
    await api.orders.insert_one(
        {"_id": key, "price": Decimal128("1.10"), "status": {"x": 1}, "big": 2**60, "nan": float("nan")}
    )
    shown = {"_id": str(key), "price": "1.10", "status": {"x": 1}, "big": str(2**60), "nan": "NaN"}
    assert await (await api.client.get("/api/orders")).json() == [shown]
    assert await (await api.client.get(f"/api/orders/{key}")).json() == shown
    changed = await (await api.client.put(f"/api/orders/{key}", json={"status": "pending"})).json()
    assert changed == {**shown, "status": "pending", "updated_at": changed["updated_at"]}


async def test_a_list_of_a_collection_that_does_not_exist_is_empty_and_has_a_cursor(api: Api) -> None:
    reply = await api.client.get("/api/orders")
    assert await reply.json() == []
    before = Cursor.parse(reply.headers["Stream-Cursor"])
    written = await api.client.post("/api/orders", json=JOHN)
    assert Cursor.parse(written.headers["Stream-Cursor"]).position > before.position


async def test_cursors_of_reads_and_writes_fit_together(api: Api) -> None:
    written = await api.client.post("/api/orders", json=JOHN)
    of_write = Cursor.parse(written.headers["Stream-Cursor"])
    assert (of_write.epoch, of_write.position.n) == ("e1", 0)
    for address in ("/api/orders", written.headers["Location"]):
        of_read = Cursor.parse((await api.client.get(address)).headers["Stream-Cursor"])
        assert of_read.position.n == LAST_ORDINAL
        assert of_read.position > of_write.position
    changed = await api.client.put(written.headers["Location"], json={"status": "shipped"})
    assert Cursor.parse(changed.headers["Stream-Cursor"]).position > of_read.position


async def test_without_an_epoch_there_is_no_cursor(mongodb_uri: str) -> None:
    async with orders_at(mongodb_uri) as orders, serve(store_of(orders), epoch=lambda: None) as client:
        assert "Stream-Cursor" not in (await client.post("/api/orders", json=JOHN)).headers
        reply = await client.get("/api/orders")
        assert "Stream-Cursor" not in reply.headers
        assert len(await reply.json()) == 1


async def test_head_answers_like_get_without_the_body(api: Api) -> None:
    reply = await api.client.head("/api/orders")
    assert (reply.status, await reply.read()) == (200, b"")
    assert "Stream-Cursor" in reply.headers


async def test_answers_are_neither_guessed_nor_kept_nor_framed(api: Api) -> None:
    for address in ("/api/orders", "/api/orders/x", "/api/nothing"):
        headers = (await api.client.get(address)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
