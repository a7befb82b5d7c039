"""REST: orders outside of a subject's rights do not exist for it, and it can neither take one in nor put one out."""

import asyncio
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.access.conftest import Gate
from tests.access.tokens import bearer, token

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADA = {"customer_name": "Ada", "product_name": "Lamp", "status": "pending"}
EVE = {"customer_name": "Eve", "product_name": "Lamp", "status": "pending"}
OF_ADA = token("ada", rights={"customer_name": "Ada"})


async def call(
    gate: Gate, method: str, path: str, text: str | None, body: Any = None, **more: str
) -> tuple[int, Any, Any]:
    """Return the status, the body and the headers of an answer; names of headers have ``_`` for ``-``."""
    headers = {name.replace("_", "-"): value for name, value in more.items()}
    headers |= {} if text is None else bearer(text)
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"{gate.url}{path}", headers=headers, json=body) as response,
    ):
        is_json = "json" in response.content_type and method != "HEAD"
        return response.status, await response.json(content_type=None) if is_json else None, response.headers


async def stored(gate: Gate, id: str) -> dict[str, Any] | None:
    return await gate.orders.find_one({"_id": id})


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def _orders(gate: Gate) -> None:
    await gate.orders.delete_many({})
    await gate.orders.insert_many([{"_id": "a", **ADA}, {"_id": "e", **EVE}])


async def test_a_list_has_the_orders_inside_only(gate: Gate) -> None:
    for query in ("", "?customer_name=Eve&customer_name=Ada", "?status=pending", "?id=a&id=e"):
        status, orders, _ = await call(gate, "GET", f"/api/orders{query}", OF_ADA)
        assert (status, [each["_id"] for each in orders]) == (200, ["a"]), query
    for query in ("?customer_name=Eve", "?id=e", "?after=a"):
        assert (await call(gate, "GET", f"/api/orders{query}", OF_ADA))[1] == [], query


async def test_pages_are_made_of_the_orders_inside(gate: Gate) -> None:
    await gate.orders.insert_many([{"_id": f"{n:02}", **(EVE if n % 3 else ADA)} for n in range(30)])
    path, found = "/api/orders?limit=2", []
    while path:
        _, orders, headers = await call(gate, "GET", path, OF_ADA)
        found += [each["_id"] for each in orders]
        link = headers.get("Link")
        path = "" if link is None else link[1:].partition(">")[0].removeprefix(gate.url)
        assert link is None or found[-1] in link
    assert found == ["a", *(f"{n:02}" for n in range(27, -1, -3))]


@pytest.mark.parametrize("more", [{}, {"If_Match": "*"}, {"If_None_Match": "*"}, {"Idempotency_Key": "outside"}])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
async def test_an_order_outside_is_answered_like_one_that_does_not_exist(
    gate: Gate, method: str, more: dict[str, str]
) -> None:
    body = {"status": "shipped"} if method in {"PUT", "PATCH"} else None
    more = {name: f"{value}-{method}" if name == "Idempotency_Key" else value for name, value in more.items()}
    status, problem, headers = await call(gate, method, "/api/orders/e", OF_ADA, body, **more)
    more |= {name: f"{value}-2" for name, value in more.items() if name == "Idempotency_Key"}
    nothing, same, others = await call(gate, method, "/api/orders/x", OF_ADA, body, **more)
    assert (status, problem) == (nothing, same)
    assert status == 404
    assert {*headers} == {*others}
    assert (await stored(gate, "e") or {})["status"] == "pending"


async def test_an_order_inside_can_be_read_changed_and_deleted(gate: Gate) -> None:
    assert (await call(gate, "GET", "/api/orders/a", OF_ADA))[1]["customer_name"] == "Ada"
    status, order, _ = await call(gate, "PUT", "/api/orders/a", OF_ADA, {"status": "shipped"})
    assert (status, order["status"]) == (200, "shipped")
    status, order, _ = await call(gate, "PUT", "/api/orders/a", OF_ADA, {"customer_name": "Ada", "status": "pending"})
    assert (status, order["status"]) == (200, "pending")
    assert (await call(gate, "DELETE", "/api/orders/a", OF_ADA))[0] == 200
    assert await stored(gate, "a") is None


async def test_an_order_can_not_be_moved_out_nor_created_outside(gate: Gate) -> None:
    status, problem, _ = await call(gate, "PUT", "/api/orders/a", OF_ADA, {"customer_name": "Eve"})
    assert (status, problem["type"].rpartition(":")[2]) == (403, "outside-rights")
    assert (await stored(gate, "a") or {})["customer_name"] == "Ada"
    assert (await call(gate, "POST", "/api/orders", OF_ADA, EVE))[0] == 403
    assert (await call(gate, "PUT", "/api/orders/e", OF_ADA, {"customer_name": "Ada"}))[0] == 404
    assert (await stored(gate, "e") or {})["customer_name"] == "Eve"
    assert await gate.orders.count_documents({}) == 2
    assert (await call(gate, "POST", "/api/orders", OF_ADA, ADA))[0] == 201


async def test_several_filters_are_any_of_them_and_several_fields_are_all_of_them(gate: Gate) -> None:
    either = token("x", rights=[{"customer_name": "Ada"}, {"status": "shipped"}])
    assert (await call(gate, "PUT", "/api/orders/a", either, {"customer_name": "Eve"}))[0] == 403
    both = {"customer_name": "Eve", "status": "shipped"}
    assert (await call(gate, "PUT", "/api/orders/a", either, both))[0] == 200  # by the other filter
    narrow = token("y", rights={"customer_name": ["Ada", "Eve"], "status": "pending"})
    assert (await call(gate, "GET", "/api/orders/a", narrow))[0] == 404
    assert [each["_id"] for each in (await call(gate, "GET", "/api/orders", narrow))[1]] == ["e"]
    assert (await call(gate, "PUT", "/api/orders/e", narrow, {"status": "shipped"}))[0] == 403
    by_id = token("z", rights={"ids": ["e"]})
    assert [each["_id"] for each in (await call(gate, "GET", "/api/orders", by_id))[1]] == ["e"]
    assert (await call(gate, "POST", "/api/orders", by_id, ADA))[0] == 403


async def test_a_token_without_rights_sees_nothing_and_one_for_all_sees_all(gate: Gate) -> None:
    for text in (token("x"), token("x", rights=[])):
        assert (await call(gate, "GET", "/api/orders", text))[1] == []
        assert (await call(gate, "GET", "/api/orders/a", text))[0] == 404
        assert (await call(gate, "POST", "/api/orders", text, ADA))[0] == 403
        assert (await call(gate, "DELETE", "/api/orders/a", text))[0] == 404
    assert len((await call(gate, "GET", "/api/orders", token("x", rights="*")))[1]) == 2


def batch(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"operations": [*operations]}


async def test_each_operation_of_a_batch_has_the_rights_that_it_would_have_alone(gate: Gate) -> None:
    inside = [
        {"operation": "INSERT", "order": ADA},
        {"operation": "UPDATE", "id": "a", "order": {"status": "shipped"}},
    ]
    outside: list[tuple[dict[str, Any], int, str]] = [
        ({"operation": "INSERT", "order": EVE}, 403, "order"),
        ({"operation": "UPDATE", "id": "a", "order": {"customer_name": "Eve"}}, 403, "order"),
        ({"operation": "UPDATE", "id": "e", "order": {"status": "shipped"}}, 404, "id"),
        ({"operation": "UPDATE", "id": "x", "order": {"customer_name": "Eve"}}, 404, "id"),
        ({"operation": "DELETE", "id": "e"}, 404, "id"),
    ]
    before = await gate.orders.find().to_list()
    for operation, expected, place in outside:
        status, problem, _ = await call(gate, "POST", "/api/orders:batch", OF_ADA, batch(inside[0], operation))
        assert status == expected, operation
        errors = [(error["pointer"], error["status"]) for error in problem["errors"]]
        assert errors == [(f"#/operations/1/{place}", expected)]
    several = batch(inside[0], *(outside[place][0] for place in (1, 0, 4)))
    status, problem, _ = await call(gate, "POST", "/api/orders:batch", OF_ADA, several)
    assert [error["status"] for error in problem["errors"]] == [403, 403, 404]
    assert await gate.orders.find().to_list() == before
    assert (await call(gate, "POST", "/api/orders:batch", OF_ADA, batch(*inside)))[0] == 200


async def test_a_key_belongs_to_its_subject_and_shows_no_more_than_the_rights_of_now(gate: Gate) -> None:
    everything = token("ada", rights="*")
    made = await call(gate, "POST", "/api/orders", everything, EVE, Idempotency_Key="mine")
    again = await call(gate, "POST", "/api/orders", token("ada", rights="*"), EVE, Idempotency_Key="mine")
    assert again[:2] == made[:2]
    assert made[2]["ETag"] == again[2]["ETag"]
    others = await call(gate, "POST", "/api/orders", token("bob", rights="*"), EVE, Idempotency_Key="mine")
    assert (others[0], others[1]["_id"] != made[1]["_id"]) == (201, True)
    fewer = await call(gate, "POST", "/api/orders", OF_ADA, EVE, Idempotency_Key="mine")
    assert (fewer[0], fewer[1]) == (201, {"_id": made[1]["_id"]})
    assert "ETag" not in fewer[2]
    inserting = batch({"operation": "INSERT", "order": ADA})
    whole = await call(gate, "POST", "/api/orders:batch", everything, inserting, Idempotency_Key="batch")
    bare = await call(gate, "POST", "/api/orders:batch", OF_ADA, inserting, Idempotency_Key="batch")
    assert [each.keys() for each in bare[1]["results"]] == [{"operation", "id"}]
    assert bare[1]["results"][0]["id"] == whole[1]["results"][0]["id"]


async def test_who_may_only_write_learns_no_version_and_can_ask_for_none(gate: Gate) -> None:
    writing = token("x", "orders:write", rights="*")
    status, answer, headers = await call(gate, "PUT", "/api/orders/a", writing, {"status": "shipped"}, If_Match="*")
    assert (status, answer, "ETag" in headers) == (200, {"_id": "a"}, False)
    tag = (await call(gate, "GET", "/api/orders/a", OF_ADA))[2]["ETag"]
    assert (await call(gate, "PUT", "/api/orders/a", writing, {"status": "pending"}, If_Match=tag))[0] == 412
    status, answer, _ = await call(
        gate, "POST", "/api/orders:batch", writing, batch({"operation": "DELETE", "id": "a"})
    )
    assert (status, answer) == (200, {"results": [{"operation": "DELETE", "id": "a"}]})


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [("", ()), ("orders:read", ("GET",)), ("orders:write", ("POST", "PUT", "DELETE")), ("orders:admin other", ())],
)
async def test_each_method_needs_its_scope(gate: Gate, scope: str, allowed: tuple[str, ...]) -> None:
    text = token("x", scope, rights="*")
    for method, path, body in (
        ("GET", "/api/orders", None),
        ("GET", "/api/orders/a", None),
        ("POST", "/api/orders", ADA),
        ("PUT", "/api/orders/a", {"status": "shipped"}),
        ("DELETE", "/api/orders/a", None),
    ):
        status, answer, headers = await call(gate, method, path, text, body)
        assert (status < 300) == (method in allowed), (method, path)
        if status >= 300:
            assert status == 403
            assert 'error="insufficient_scope"' in headers["WWW-Authenticate"]
        elif method != "GET":
            assert answer.keys() == {"_id"}, "who may only write is not shown the order"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_nothing_below_api_is_answered_without_a_token_but_its_description(gate: Gate, method: str) -> None:
    for path in ("/api/orders", "/api/orders/a", "/api/orders/events", "/api/tickets", "/api/later", "/api/"):
        status, _, headers = await call(gate, method, path, None)
        assert (status, headers["WWW-Authenticate"]) == (401, 'Bearer realm="orders"'), path
    for path in ("/api/openapi.json", "/api/asyncapi.json"):
        assert (await call(gate, "GET", path, None))[0] == 200
    assert (await call(gate, "GET", "/healthz", None))[0] == 200


async def test_two_subjects_that_read_the_same_ids_at_once_see_their_own(gate: Gate) -> None:
    texts = {"Ada": OF_ADA, "Eve": token("eve", rights={"customer_name": "Eve"}), "all": token("z", rights="*")}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=32)) as session:

        async def read(who: str, order: str) -> None:
            async with session.get(f"{gate.url}/api/orders/{order}", headers=bearer(texts[who])) as response:
                inside = who in {"all", {"a": "Ada", "e": "Eve"}.get(order)}
                assert response.status == (200 if inside and order != "x" else 404), (who, order)
                if response.status == 200:
                    assert (await response.json())["_id"] == order

        await asyncio.gather(*(read(who, order) for _ in range(100) for who in texts for order in ("a", "e", "x")))
