"""Ids in the URLs of the REST API, on a real MongoDB: long ones, unusual spellings, and malformed ones."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import ClientSession
from bson import Binary, Decimal128, Int64, ObjectId, Regex
from yarl import URL

from services.common.ids import id_text
from services.front.bodies import LONGEST_TARGET
from tests.integration.rest_api import JOHN, Api, serve_orders

HEX = "abcdef0123456789abcdef01"


@pytest.fixture
async def api(mongodb_uri: str) -> AsyncIterator[Api]:
    async with serve_orders(mongodb_uri) as api:
        yield api


def at(path: str) -> URL:
    return URL(f"/api/orders{path}", encoded=True)


LONG: list[Any] = [
    *("x" * 1522, "x" * 3000, "x" * 6000, "x" * 16_000, "ü" * 1000, "ü" * 2500, "%" * 4000, "\n" * 3000),
    *({"a": "x" * 3000}, Binary(bytes(10_000)), "~" * 6000),
]


@pytest.mark.parametrize("id", LONG, ids=lambda one: f"{type(one).__name__}-{len(id_text(one))}")
async def test_an_order_whose_id_fits_into_an_address_can_be_read_changed_and_deleted(api: Api, id: Any) -> None:
    await api.orders.insert_one({"_id": id, **JOHN})
    [listed] = await (await api.client.get("/api/orders")).json()
    assert await (await api.client.get(at(f"/{quote(listed['_id'], safe='')}"))).json() == listed
    one = at(f"/{quote(listed['_id'], safe='')}")
    assert await (await api.client.get(at(f"?id={quote(listed['_id'], safe='')}"))).json() == [listed]
    assert (await (await api.client.put(one, json={"status": "shipped"})).json())["_id"] == listed["_id"]
    assert (await api.client.delete(one)).status == 200
    assert await api.orders.count_documents({}) == 0


@pytest.mark.parametrize("limit", [1, 3])
async def test_pages_pass_orders_whose_ids_do_not_fit_into_an_address(api: Api, limit: int) -> None:
    ids = [*LONG, "x" * 100_000, Binary(bytes(100_000)), {"a": "x" * 20_000}, 7, "a", "z", ObjectId()]
    await api.orders.insert_many({"_id": one, "status": "pending", "number": n} for n, one in enumerate(ids))
    seen: list[int] = []
    address = f"/api/orders?limit={limit}&status=pending"
    while address and len(seen) <= len(ids):
        reply = await api.client.get(URL(address, encoded=True))
        assert len(reply.headers.get("Link", "")) < 2200, "it fits into the headers that proxies take"
        seen += [order["number"] for order in await reply.json()]
        address = reply.headers.get("Link", "").removeprefix("<").removesuffix('>; rel="next"')
    assert seen == [document["number"] async for document in api.orders.find().sort("_id", -1)]


async def test_a_list_whose_next_address_would_not_be_taken_is_refused(api: Api) -> None:
    await api.orders.insert_many({"_id": f"{n}{'x' * 1000}", **JOHN} for n in range(3))
    names = [quote("ü" * 200) for _ in range(9)]
    query = f"?limit=2&customer_name=John+Doe&customer_name={'&customer_name='.join(names)}&id={{}}"
    room = LONGEST_TARGET - len(f"/api/orders{query.format('')}&after=") - 1001
    ids = "&id=".join(f"{n}{'x' * 1000}" for n in range(2, -1, -1))
    assert 0 < len(ids) < room
    longest = ids + "&id=" + "z" * (room - len(ids) - 4)
    async with ClientSession(max_field_size=20_000) as session:
        address = api.client.make_url("/").join(at(query.format(longest)))
        reply = await session.get(address)
    assert reply.status == 200
    following = reply.headers["Link"].removeprefix("<").removesuffix('>; rel="next"')
    assert len(following) == LONGEST_TARGET
    assert len(await (await api.client.get(URL(following, encoded=True))).json()) == 1
    refused = await api.client.get(at(query.format(longest + "z")))
    assert (refused.status, refused.content_type) == (414, "application/problem+json")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        *("~", "~x", "~i05", "~i5.0", "~d5", "~b", "~bAAAA", "~b%20", "%FF", "a%ED%A0%80", "%0A", "a%00", "~sabc"),
        *("..%2Fx", "~b" + "A" * 9000, id_text(["a"]), id_text(Regex("a")), id_text({"a": "x"})[:-1]),
    ],
)
async def test_a_malformed_id_is_refused(api: Api, method: str, path: str) -> None:
    await api.orders.insert_one({"_id": "a", **JOHN})
    body: dict[str, Any] = {"json": {"status": "shipped"}} if method == "PUT" else {}
    reply = await api.client.request(method, at(f"/{path}"), **body)
    problem = await reply.json(content_type="application/problem+json")
    assert (reply.status, problem["errors"][0]["in"], problem["errors"][0]["field"]) == (422, "path", "id")
    assert await api.orders.count_documents({"status": "pending"}) == 1


NO_SUCH_ORDER: list[Any] = [
    *(
        ObjectId(),
        "b",
        HEX,
        {"$gt": ""},
        {"$ne": 1},
        {"$in": ["a", 5]},
        {"$regex": "a"},
        {"a": {"$gt": 0}},
        {"a": {"b": 1}},
    ),
    *({"$exists": True}, {"$where": "1"}, {}, 6, Int64(6), "5", None),
]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_an_id_is_a_value_and_never_a_condition(api: Api, method: str) -> None:
    stored: list[Any] = [ObjectId(HEX), "a", 5, {"a": 1}]
    await api.orders.insert_many({"_id": one, **JOHN} for one in stored)
    body: dict[str, Any] = {"json": {"status": "shipped"}} if method == "PUT" else {}
    for one in NO_SUCH_ORDER:
        name = quote(id_text(one), safe="")
        assert (await api.client.request(method, at(f"/{name}"), **body)).status == 404, one
        for others in ("", "&id=nothing", "&id=~i7"):
            assert await (await api.client.get(at(f"?id={name}{others}"))).json() == [], one
    assert await api.orders.count_documents({"status": "pending"}) == len(stored)


@pytest.mark.parametrize(
    ("id", "spelling"),
    [
        (ObjectId(HEX), HEX.upper()),
        (ObjectId(HEX), "%61" + HEX[1:]),
        ("a/b", "a%2fb"),
        ("a/b", "a%2Fb"),
        ("%2F", "%252F"),
        ("%FF", "%25FF"),
        ("a+b", "a+b"),
        ("a b", "a%20b"),
        ("Zoë", "Zo%c3%ab"),
        ("a;b,c=d@e:f!g$h'i(j)", "a;b,c=d@e:f!g$h'i(j)"),
    ],
)
async def test_an_id_may_be_spelled_in_any_way_that_urls_have(api: Api, id: Any, spelling: str) -> None:
    await api.orders.insert_one({"_id": id, **JOHN})
    reply = await api.client.get(at(f"/{spelling}"))
    assert (reply.status, (await reply.json())["_id"]) == (200, id_text(id))
    assert (await api.client.delete(at(f"/{spelling}"))).status == 200


async def test_many_ids_are_asked_for_in_one_list(api: Api) -> None:
    ids: list[Any] = [ObjectId(HEX), HEX, 5, "5", {"a": 1}, {"a": 2}, None, "z"]
    await api.orders.insert_many({"_id": one, **JOHN} for one in ids)
    query = "&".join(f"id={quote(id_text(one), safe='')}" for one in ids[:-1])
    found = await (await api.client.get(at(f"?{query}"))).json()
    assert {order["_id"] for order in found} == {id_text(one) for one in ids[:-1]}


async def test_a_number_is_found_by_the_text_of_its_own_type(api: Api) -> None:
    """To MongoDB 5 of 32 and of 64 bits and 5.0 are one id, so that no two orders have them; the text is of one."""
    await api.orders.insert_one({"_id": Int64(5), **JOHN})
    assert [order["_id"] for order in await (await api.client.get(at("?id=~l5&id=x"))).json()] == ["~l5"]
    for other in ("~i5", "~d5.0"):
        assert await (await api.client.get(at(f"?id={other}"))).json() == []
        assert (await api.client.get(at(f"/{other}"))).status == 404


@pytest.mark.parametrize(
    ("stored", "alike"),
    [
        (5, ["~l5", "~d5.0", id_text(Decimal128("5")), "5"]),
        (Int64(5), ["~i5", "~d5.0"]),
        (5.0, ["~i5", "~l5"]),
        (Decimal128("5.0"), ["~i5", "~d5.0"]),
        ("Order a+b (1)", ["order a+b (1)", "ORDER A+B (1)", "Order a+b (1) "]),
        ("ä.*", ["a.*", "Ä.*", "äxy"]),
    ],
)
async def test_a_write_finds_what_a_read_finds_though_mongodb_holds_other_ids_equal(
    mongodb_uri: str, stored: Any, alike: list[str]
) -> None:
    async with serve_orders(mongodb_uri) as api:
        orders = api.orders
        await orders.drop()
        await orders.database.create_collection(orders.name, collation={"locale": "en", "strength": 1})
        await orders.insert_one({"_id": stored, **JOHN})
        for other in alike:
            one = at(f"/{quote(other, safe='')}")
            assert (await api.client.get(one)).status == 404
            assert (await api.client.put(one, json={"status": "shipped"})).status == 404
            assert (await api.client.delete(one)).status == 404
        one = at(f"/{quote(id_text(stored), safe='')}")
        assert (await api.client.get(one)).status == 200
        assert (await api.client.put(one, json={"status": "shipped"})).status == 200
        assert (await api.client.delete(one)).status == 200
        assert await orders.count_documents({}) == 0
