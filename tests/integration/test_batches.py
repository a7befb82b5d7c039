"""Batches: all of it or nothing, each operation as it would be alone, and the exact place of the last change."""

import asyncio
import io
import json
import random
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from services.common.fair_turns import FairTurns
from services.gateway.http.errors import answer_errors
from services.gateway.http.rest import OrdersApi
from tests.integration.replicas import Replicas, Reply
from tests.integration.rest_api import JOHN, store_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
BATCH = "/api/orders:batch"


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def _orders(replicas: Replicas) -> None:
    await replicas.orders.delete_many({})
    await replicas.orders.insert_many([{"_id": name, **JOHN} for name in "abcdef"])


def insert(**order: Any) -> dict[str, Any]:
    return {"operation": "INSERT", "order": {**JOHN, **order}}


def update(id: str, **order: Any) -> dict[str, Any]:
    return {"operation": "UPDATE", "id": id, "order": order or {"status": "shipped"}}


def delete(id: str) -> dict[str, Any]:
    return {"operation": "DELETE", "id": id}


async def send(replicas: Replicas, *operations: Any, **headers: str) -> Reply:
    return await replicas.ask("POST", BATCH, {"operations": list(operations)}, of=0, **headers)


def pointers(reply: Reply) -> list[str]:
    return [error["pointer"] for error in reply.json["errors"]]


async def test_a_batch_answers_each_order_as_stored_and_its_last_change(replicas: Replicas) -> None:
    for seed in range(8):
        chance = random.Random(seed)
        old = [str(each["_id"]) for each in await replicas.orders.find().to_list()]
        chosen = chance.sample(old, min(len(old), 5))
        operations = [*(chance.choice([update, delete])(name) for name in chosen), *(insert() for _ in range(seed))]
        chance.shuffle(operations)
        was = {name: (await replicas.ask("GET", f"/api/orders/{name}")).json for name in chosen}
        start = await replicas.now()
        reply = await send(replicas, *operations)
        assert reply.status == 200
        results = reply.json["results"]
        assert [each["operation"] for each in results] == [each["operation"] for each in operations]
        assert reply.position == (await replicas.changes(start, len(operations)))[-1][2]
        assert reply.position.n == len(operations) - 1
        for asked, told in zip(operations, results, strict=True):
            assert told["id"] == told["order"]["_id"] == asked.get("id", told["id"])
            found = await replicas.ask("GET", f"/api/orders/{told['id']}")
            if asked["operation"] == "DELETE":
                assert (found.status, told["order"]) == (404, was[told["id"]])
            else:
                assert told["order"] == found.json
                assert asked["order"].items() <= told["order"].items()


async def test_the_most_that_a_batch_may_have_is_taken_and_one_more_is_not(replicas: Replicas) -> None:
    names = [insert(customer_name="ä" * 200, product_name="b" * 200)] * 500
    whole = await send(replicas, *names)
    assert (whole.status, len(whole.json["results"]), whole.position.n) == (200, 500, 499)
    more = await send(replicas, *names, insert())
    assert (more.status, pointers(more)) == (422, ["#/operations"])
    assert await replicas.orders.count_documents({}) == 506
    changed = await send(replicas, *(update(each["id"]) for each in whole.json["results"]))
    assert (changed.status, changed.position.n) == (200, 499)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ([], ["#"]),
        ({}, ["#/operations"]),
        ({"operations": {}}, ["#/operations"]),
        ({"operations": []}, ["#/operations"]),
        ({"operations": [insert()], "x/y": 1}, ["#/x~1y"]),
        ({"operations": [insert(), 5]}, ["#/operations/1"]),
        ({"operations": [insert(), {}]}, ["#/operations/1/operation"]),
        ({"operations": [{"operation": "MERGE"}]}, ["#/operations/0/operation"]),
        ({"operations": [insert(), insert(), insert(), insert(status="lost")]}, ["#/operations/3/order/status"]),
        ({"operations": [update("~i05", status=None)]}, ["#/operations/0/id", "#/operations/0/order/status"]),
        ({"operations": [{"operation": "UPDATE", "id": "a", "order": {}}]}, ["#/operations/0/order"]),
        ({"operations": [{"operation": "DELETE"}]}, ["#/operations/0/id"]),
        ({"operations": [{**delete("a"), "order": {}}]}, ["#/operations/0/order"]),
        ({"operations": [insert(_id="a")]}, ["#/operations/0/order/_id"]),
        ({"operations": [insert(**{"a/b~c": 1})]}, ["#/operations/0/order/a~1b~0c"]),
        ({"operations": [delete("a"), insert(), update("a")]}, ["#/operations/2/id"]),
        ({"operations": [{"operation": "INSERT", "order": {str(n): n for n in range(200)}}]}, ["#/operations/0/order"]),
        ({"operations": [insert(status="lost")] * 100}, [f"#/operations/{n}/order/status" for n in range(20)]),
    ],
)  # fmt: skip
async def test_a_fault_is_named_by_its_place_in_the_body(replicas: Replicas, body: Any, named: list[str]) -> None:
    before = await replicas.orders.find().to_list()
    reply = await replicas.ask("POST", BATCH, body)
    assert (reply.status, pointers(reply)) == (422, named)
    assert await replicas.orders.find().to_list() == before


async def test_what_cannot_be_done_is_named_for_each_operation_and_nothing_is_done(replicas: Replicas) -> None:
    before = await replicas.orders.find().to_list()
    reply = await send(replicas, insert(), update("a"), update("x"), delete("b"), delete("y"))
    assert (reply.status, reply.json["type"].rpartition(":")[2]) == (404, "order-not-found")
    assert pointers(reply) == ["#/operations/2/id", "#/operations/4/id"]
    assert [error["status"] for error in reply.json["errors"]] == [404, 404]
    assert reply.cursor is None
    assert await replicas.orders.find().to_list() == before


async def test_a_rule_of_the_collection_is_named_at_its_operation(replicas: Replicas) -> None:
    await replicas.orders.delete_many({})
    await replicas.orders.insert_many([{"_id": name, **JOHN, "product_name": name} for name in "ab"])
    await replicas.orders.create_index("product_name", unique=True)
    try:
        before = await replicas.orders.find().to_list()
        for operation in (insert(product_name="a"), update("b", product_name="a")):
            reply = await send(replicas, insert(product_name="c"), operation)
            assert (reply.status, pointers(reply)) == (409, ["#/operations/1/order/product_name"])
            assert await replicas.orders.find().to_list() == before
        freed = await send(replicas, insert(product_name="a"), delete("a"))
        assert freed.status == 200
    finally:
        await replicas.orders.drop_index("product_name_1")


async def test_batches_that_meet_are_done_one_after_the_other(replicas: Replicas) -> None:
    names = list("abcdef")

    async def change(number: int) -> Reply:
        order = random.Random(number).sample(names, 6)
        return await replicas.ask(
            "POST", BATCH, {"operations": [update(name, product_name=str(number)) for name in order]}, of=number
        )

    replies = await asyncio.gather(*(change(number) for number in range(12)))
    assert {reply.status for reply in replies} <= {200, 409}
    last = max((reply for reply in replies if reply.status == 200), key=lambda reply: reply.position)
    stored = {each["product_name"] for each in await replicas.orders.find().to_list()}
    assert stored == {last.json["results"][0]["order"]["product_name"]}, "all orders are from one batch, the last"


async def test_an_order_that_a_transaction_holds_makes_the_batch_busy(replicas: Replicas) -> None:
    client = replicas.orders.database.client
    async with client.start_session() as session, await session.start_transaction():
        await replicas.orders.update_one({"_id": "a"}, {"$set": {"notes": 1}}, session=session)
        busy = await send(replicas, insert(), update("a"))
        assert (busy.status, busy.json["type"].rpartition(":")[2]) == (409, "order-busy")
        await session.abort_transaction()
    assert await replicas.orders.count_documents({}) == 6


async def test_a_batch_that_is_too_large_to_be_answered_is_refused(replicas: Replicas) -> None:
    await replicas.orders.update_many({"_id": {"$in": ["a", "b", "c"]}}, {"$set": {"notes": "x" * 7_000_000}})
    reply = await send(replicas, *(update(name) for name in "abc"))
    assert (reply.status, reply.json["type"].rpartition(":")[2]) == (413, "order-too-large")
    assert await replicas.orders.count_documents({"status": "shipped"}) == 0


async def test_a_body_beyond_the_limit_is_refused_and_one_of_a_thread_is_checked(replicas: Replicas) -> None:
    for data, status in (
        (b" " * 1_048_577, 413),
        (b'{"operations":[' + b"{}," * 20_000 + b" " * 65_536 + b"{}]}", 413),
        (b"[" * 500_000, 413),
        (b"[" * 15_000 + b" " * 65_536, 400),
        (json.dumps({"operations": [insert(notes="x" * 900_000)]}).encode(), 422),
    ):
        async with replicas.both[0].post(
            BATCH, data=io.BytesIO(data), headers={"Content-Type": "application/json"}
        ) as reply:
            assert reply.status == status


async def test_a_document_that_another_program_changes_meanwhile_keeps_both_changes(replicas: Replicas) -> None:
    async def count_up() -> None:
        for _ in range(100):
            await replicas.orders.update_one({"_id": "a"}, {"$inc": {"n": 1}})

    counting = asyncio.create_task(count_up())
    while not counting.done():
        assert (await send(replicas, update("a", product_name="x"), update("b"))).status in {200, 409}
    order = await replicas.orders.find_one({"_id": "a"})
    assert order is not None
    assert order["n"] == 100


class NotedTurns(FairTurns):
    """Turns that note whose whole steps they were told of."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def lasted(self, account: str, seconds: float, *, was_whole: bool = False) -> None:
        if was_whole:
            self.told.append(account)
        super().lasted(account, seconds, was_whole=was_whole)


async def test_the_check_of_a_batch_is_work_of_its_account(replicas: Replicas) -> None:
    turns, app = NotedTurns(), web.Application(middlewares=[answer_errors])
    app.add_routes(
        OrdersApi(store_of(replicas.orders), lambda: "e1", account=lambda _: "an account", turns=turns).routes()
    )
    async with TestClient(TestServer(app)) as client:
        assert (await client.post("/api/orders", json=JOHN)).status == 201
        assert not turns.told, "so small a body is parsed at once"
        assert (await client.post(BATCH, json={"operations": [insert()]})).status == 200
        assert turns.told == ["an account"]
