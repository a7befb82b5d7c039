"""Writes that MongoDB refuses because of the order itself: the client is told which rule, and no alert is raised."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
from aiohttp import ClientResponse, ClientSession, TCPConnector
from pymongo import GEO2D, GEOSPHERE, TEXT
from structlog.testing import capture_logs

from services.common.fair_turns import Pace
from services.gateway.snapshot_read import Snapshot
from services.gateway.store import OrderStore
from tests.integration.rest_api import JOHN, Client, Orders, orders_at, serve, store_of
from tests.waiting import within

Prepare = Callable[[Orders], Awaitable[Any]]
SECRET = "Somebody Else"
ALIKE = {**JOHN, "customer_name": SECRET}


class Case(NamedTuple):
    prepare: Prepare
    status: int
    kind: str
    says: str
    fields: list[str]
    body: dict[str, str] = ALIKE
    methods: tuple[str, ...] = ("POST", "PUT")


def validated(validator: dict[str, Any]) -> Prepare:
    async def prepare(orders: Orders) -> None:
        await orders.database.command("collMod", orders.name, validator=validator)

    return prepare


def indexed(field: str, kind: Any = 1, **options: Any) -> Prepare:
    async def prepare(orders: Orders) -> None:
        await orders.create_index([(field, kind)], **options)

    return prepare


async def nearly_too_large(orders: Orders) -> None:
    room = 16 * 1024 * 1024 - 200
    order = await orders.find_one_and_delete({})
    assert order is not None
    await orders.insert_one({**order, "notes": "x" * room})


SCHEMA = {"$jsonSchema": {"required": ["vat"], "properties": {"customer_name": {"enum": ["John Doe"]}}}}
BOTH = {"$and": [{"$jsonSchema": SCHEMA["$jsonSchema"]}, {"product_name": {"$ne": "Laptop"}}]}
RULE, VALIDATOR, INDEX = "rule-broken", "the collection's validator", "an index or a rule of the collection"

CASES = {
    "schema": Case(validated(SCHEMA), 422, RULE, VALIDATOR, ["customer_name", "vat"]),
    "condition": Case(validated({"customer_name": {"$ne": SECRET}}), 422, RULE, VALIDATOR, ["customer_name"]),
    "several": Case(validated(BOTH), 422, RULE, VALIDATOR, ["customer_name", "product_name", "vat"]),
    "expression": Case(validated({"$expr": {"$ne": ["$customer_name", SECRET]}}), 422, RULE, VALIDATOR, []),
    "unique": Case(
        indexed("customer_name", unique=True), 409, "value-taken", "a unique index on customer_name", ["customer_name"]
    ),
    "2dsphere": Case(indexed("status", GEOSPHERE, sparse=False), 422, RULE, INDEX, []),
    "language": Case(indexed("product_name", TEXT, language_override="status"), 422, RULE, INDEX, []),
    "16 MiB": Case(
        nearly_too_large,
        413,
        "order-too-large",
        "16 MiB",
        [],
        {"product_name": "y" * 200, "customer_name": "z" * 200},
        ("PUT",),
    ),
}  # fmt: skip


@asynccontextmanager
async def api(uri: str) -> AsyncIterator[tuple[Client, Orders, OrderStore, list[Any]]]:
    with capture_logs() as lines:
        async with orders_at(uri) as orders:
            store = store_of(orders)
            async with serve(store) as client:
                yield client, orders, store, [*lines]
    assert lines == []
    assert store.dependency.outages() == 0


async def problem_of(reply: ClientResponse) -> dict[str, Any]:
    problem: dict[str, Any] = await reply.json(content_type="application/problem+json")
    return problem


@pytest.mark.parametrize("name", CASES)
async def test_a_rule_of_the_operators_is_named_and_no_fault_of_ours(mongodb_uri: str, name: str) -> None:
    case = CASES[name]
    async with api(mongodb_uri) as (client, orders, _, _):
        own = (await (await client.post("/api/orders", json=JOHN)).json())["_id"]
        if name == "unique":
            await client.post("/api/orders", json=ALIKE)
        await orders.update_many({}, {"$unset": {"status": 1}})  # or some of the indexes could not be made
        await case.prepare(orders)
        before = await orders.find().to_list()
        for method in case.methods:
            address = "/api/orders" if method == "POST" else f"/api/orders/{own}"
            reply = await client.request(method, address, json=case.body)
            problem = await problem_of(reply)
            assert (reply.status, problem["type"]) == (case.status, f"urn:realtime-orders:problem:{case.kind}")
            assert case.says in problem["detail"]
            assert sorted(error["field"] for error in problem.get("errors", [])) == case.fields
            assert SECRET not in str(problem)
        assert await orders.find().to_list() == before


async def test_an_index_that_takes_anything_refuses_nothing(mongodb_uri: str) -> None:
    async with api(mongodb_uri) as (client, orders, _, _):
        await orders.create_index([("status", GEO2D)])
        assert (await client.post("/api/orders", json=JOHN)).status == 201


async def test_an_order_that_a_transaction_holds_is_busy_and_all_others_are_not(mongodb_uri: str) -> None:
    async with api(mongodb_uri) as (client, orders, store, _):
        await orders.create_index("customer_name", unique=True)
        held, other = [
            (await (await client.post("/api/orders", json={**JOHN, "customer_name": name})).json())["_id"]
            for name in ("held", "other")
        ]
        mongo = orders.database.client
        many = ClientSession(client.make_url("/"), connector=TCPConnector(limit=0))
        async with many, mongo.start_session() as session, await session.start_transaction():
            await orders.update_one({"customer_name": "held"}, {"$set": {"note": 1}}, session=session)
            await orders.insert_one({"customer_name": "coming"}, session=session)
            waiting = [
                asyncio.create_task(many.put(f"/api/orders/{held}", json={"status": "shipped"})) for _ in range(150)
            ]
            waiting.append(asyncio.create_task(many.delete(f"/api/orders/{held}")))
            for _ in range(20):
                async with within(5):
                    reply = await many.put(f"/api/orders/{other}", json={"status": "shipped"})
                assert reply.status == 200
            assert await store.check() == "ok"
            async with asyncio.timeout(30):
                for reply in await asyncio.gather(*waiting):
                    problem = await problem_of(reply)
                    assert (reply.status, problem["type"]) == (409, "urn:realtime-orders:problem:order-busy")
                    assert reply.headers["Retry-After"] == "1"
            assert store.dependency.works()
            await session.abort_transaction()
        # A write that was answered so has not been done, and is not done later.
        assert (await (await client.get(f"/api/orders/{held}")).json())["status"] == "pending"
        assert (await client.put(f"/api/orders/{held}", json={"status": "delivered"})).status == 200


async def test_a_list_that_takes_too_long_is_no_outage(mongodb_uri: str) -> None:
    async with orders_at(mongodb_uri) as orders:
        await orders.insert_many([{**JOHN, "customer_name": str(number)} for number in range(20)])
        slow = {"$where": "sleep(200) || true"}
        store = store_of(orders, patience=0.5)
        with capture_logs() as lines:
            async with serve(store) as client:
                original = store._read

                async def read(
                    conditions: Any, limit: int, pace: Pace | None = None, skip: int = 0, **more: Any
                ) -> Snapshot:
                    return await original({**conditions, **slow}, limit, pace, skip, **more)

                store._read = read  # type: ignore[method-assign]  # the API has no question that is slow for certain
                reply = await client.get("/api/orders")
                problem = await problem_of(reply)
    assert (reply.status, problem["type"]) == (503, "urn:realtime-orders:problem:store-too-slow")
    assert store.dependency.works()
    assert store.dependency.outages() == 0
    assert lines == []
