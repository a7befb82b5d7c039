"""Writes with a key: whoever repeats one, on any replica, gets the first answer, and it is done once."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.integration.replicas import Replicas, Reply
from tests.integration.rest_api import JOHN
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
OTHER = {**JOHN, "customer_name": "Jane"}


@pytest.fixture
def key() -> str:
    return f'"{uuid4()}"'


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def _empty(replicas: Replicas) -> None:
    await replicas.orders.delete_many({})


async def request_for(replicas: Replicas, kind: str) -> tuple[str, str, Any]:
    """Return a request of this kind that succeeds once, and would not, or not with the same answer, twice."""
    if kind == "POST":
        return "POST", "/api/orders", JOHN
    own, other = [(await replicas.ask("POST", "/api/orders", JOHN)).json["_id"] for _ in range(2)]
    if kind == "batch":
        operations = [
            {"operation": "INSERT", "order": JOHN},
            {"operation": "UPDATE", "id": own, "order": {"status": "shipped"}},
            {"operation": "DELETE", "id": other},
        ]
        return "POST", "/api/orders:batch", {"operations": operations}
    return kind, f"/api/orders/{own}", None if kind == "DELETE" else {"status": "shipped"}


@pytest.mark.parametrize("kind", ["POST", "PUT", "PATCH", "DELETE", "batch"])
async def test_twenty_at_once_on_two_replicas_are_one_write_with_twenty_equal_answers(
    replicas: Replicas, key: str, kind: str
) -> None:
    method, path, body = await request_for(replicas, kind)
    start = await replicas.now()
    same = [replicas.ask(method, path, body, of=number, Idempotency_Key=key) for number in range(20)]
    replies = await asyncio.gather(*same)
    assert {*replies} == {replies[0]}
    assert replies[0].status == (201 if kind == "POST" else 200)
    await replicas.orders.insert_one({"_id": "last"})
    changes = 3 if kind == "batch" else 1
    *happened, last = await replicas.changes(start, changes + 1)
    assert last[1] == "last", "nothing was done twice"
    assert replies[0].position == happened[-1][2], "the cursor is that of the last change of the write"


async def test_many_different_keys_at_once_are_as_many_orders_each_with_its_own_place(replicas: Replicas) -> None:
    start = await replicas.now()
    names = [str(number) for number in range(60)]

    async def create(name: str) -> Reply:
        return await replicas.ask(
            "POST", "/api/orders", {**JOHN, "customer_name": name}, of=int(name), Idempotency_Key=f"many-{name}"
        )

    replies = await asyncio.gather(*(create(name) for name in names))
    assert [reply.json["customer_name"] for reply in replies] == names
    claimed = sorted((reply.position, reply.json["_id"]) for reply in replies)
    assert claimed == [(position, order) for _, order, position in await replicas.changes(start, 60)]
    assert await asyncio.gather(*(create(name) for name in names)) == replies


async def test_the_answer_is_the_first_whatever_became_of_the_order(replicas: Replicas, key: str) -> None:
    first = await replicas.ask("POST", "/api/orders", JOHN, Idempotency_Key=key)
    assert first.location is not None
    await replicas.ask("PUT", first.location, {"status": "delivered"})
    await replicas.ask("DELETE", first.location)
    assert await replicas.ask("POST", "/api/orders", JOHN, of=1, Idempotency_Key=key) == first
    assert await replicas.orders.count_documents({}) == 0


async def test_the_key_is_the_same_in_quotes_and_bare_and_so_is_a_body_in_another_order(replicas: Replicas) -> None:
    first = await replicas.ask("POST", "/api/orders", JOHN, Idempotency_Key='"bare-1"')
    again = await replicas.ask("POST", "/api/orders", dict(reversed(JOHN.items())), Idempotency_Key="bare-1")
    assert again == first


async def test_a_key_belongs_to_one_request(replicas: Replicas, key: str) -> None:
    first = await replicas.ask("POST", "/api/orders", JOHN, Idempotency_Key=key)
    assert first.location is not None
    before = await replicas.orders.find().to_list()
    for method, path, body in (
        ("POST", "/api/orders", OTHER),
        ("PUT", first.location, JOHN),
        ("PATCH", first.location, JOHN),
        ("DELETE", first.location, None),
        ("DELETE", "/api/orders/none", None),
        ("POST", "/api/orders:batch", {"operations": [{"operation": "INSERT", "order": JOHN}]}),
    ):
        reply = await replicas.ask(method, path, body, of=1, Idempotency_Key=key)
        assert (reply.status, reply.json["type"].rpartition(":")[2]) == (422, "key-reused"), (method, path)
        assert reply.json["errors"][0]["field"] == "Idempotency-Key"
    conditional = await replicas.ask("PUT", first.location, JOHN, Idempotency_Key=key, If_Match="*")
    assert conditional.status == 422
    assert await replicas.orders.find().to_list() == before


@pytest.mark.parametrize(
    "bad", ["", '""', '"', '"a', 'a"b', "a b", '"a";x=1', '"\\x"', "ä", '"ä"', "a,b", "x" * 256, f'"{"x" * 256}"']
)
async def test_a_malformed_key_is_refused_and_nothing_is_written(replicas: Replicas, bad: str) -> None:
    reply = await replicas.ask("POST", "/api/orders", JOHN, Idempotency_Key=bad)
    assert (reply.status, reply.json["errors"][0]["field"]) == (400, "Idempotency-Key")
    assert reply.json["errors"][0]["in"] == "header"
    assert await replicas.orders.count_documents({}) == 0


async def test_what_was_found_is_kept_and_what_was_malformed_is_not(replicas: Replicas, key: str) -> None:
    missing = "/api/orders/later"
    first = await replicas.ask("PUT", missing, {"status": "shipped"}, Idempotency_Key=key)
    assert first.status == 404
    await replicas.orders.insert_one({"_id": "later", **JOHN})
    assert await replicas.ask("PUT", missing, {"status": "shipped"}, of=1, Idempotency_Key=key) == first
    again = f'{key[:-1]}2"'
    refused = await replicas.ask("PUT", missing, {"status": "lost"}, Idempotency_Key=again)
    assert refused.status == 422
    assert (await replicas.ask("PUT", missing, {"status": "shipped"}, Idempotency_Key=again)).status == 200
    stale = await replicas.ask("PUT", missing, {"status": "pending"}, Idempotency_Key="stale", If_Match='"old"')
    assert stale.status == 412
    repeated = await replicas.ask("PUT", missing, {"status": "pending"}, Idempotency_Key="stale", If_Match='"old"')
    assert repeated == stale


async def test_a_value_that_is_taken_is_the_answer_to_every_repeat(replicas: Replicas, key: str) -> None:
    await replicas.orders.create_index("product_name", unique=True)
    try:
        alike = {**JOHN, "product_name": "unique"}
        made = await replicas.ask("POST", "/api/orders", alike, Idempotency_Key=key)
        assert made.status == 201
        assert await replicas.ask("POST", "/api/orders", alike, of=1, Idempotency_Key=key) == made
        other = f'{key[:-1]}2"'
        taken = await replicas.ask("POST", "/api/orders", alike, Idempotency_Key=other)
        assert (taken.status, taken.json["errors"][0]["field"]) == (409, "product_name")
        await replicas.orders.delete_many({})
        assert await replicas.ask("POST", "/api/orders", alike, of=1, Idempotency_Key=other) == taken
    finally:
        await replicas.orders.drop_index("product_name_1")


async def test_a_request_that_spoils_a_shared_transaction_spoils_no_other(replicas: Replicas) -> None:
    await replicas.orders.create_index("product_name", unique=True)
    try:
        bodies = [{**JOHN, "product_name": str(number % 19)} for number in range(20)]
        made = [
            replicas.ask("POST", "/api/orders", body, Idempotency_Key=f"spoilt-{number}")
            for number, body in enumerate(bodies)
        ]
        assert sorted(reply.status for reply in await asyncio.gather(*made)) == [201] * 19 + [409]
        assert await replicas.orders.count_documents({}) == 19
    finally:
        await replicas.orders.drop_index("product_name_1")


async def test_a_repeat_does_not_wait_for_ever_for_a_first_that_is_under_way(replicas: Replicas, key: str) -> None:
    first = await replicas.ask("POST", "/api/orders", JOHN, Idempotency_Key=key)
    keys = replicas.orders.database["idempotency_keys"]
    kept = await keys.find_one({}, sort=[("created_at", -1)])
    assert kept is not None
    await keys.delete_one({"_id": kept["_id"]})
    client = replicas.orders.database.client
    async with client.start_session() as session, await session.start_transaction():
        await keys.insert_one(kept, session=session)  # as a gateway does that was killed before it could commit
        waiting = await replicas.ask("POST", "/api/orders", JOHN, Idempotency_Key=key)
        assert (waiting.status, waiting.json["type"].rpartition(":")[2]) == (409, "request-in-progress")
        await session.commit_transaction()
    repeated = await replicas.ask("POST", "/api/orders", JOHN, of=1, Idempotency_Key=key)
    assert (repeated.status, repeated.json) == (201, first.json)
    assert await replicas.orders.count_documents({}) == 1


async def test_answers_are_removed_after_a_day(replicas: Replicas) -> None:
    indexes = await replicas.orders.database["idempotency_keys"].index_information()
    assert [one.get("expireAfterSeconds") for one in indexes.values()] == [None, 86_400]


async def test_a_large_answer_is_not_kept_and_its_order_not_changed(replicas: Replicas, key: str) -> None:
    await replicas.orders.insert_one({"_id": "large", **JOHN, "notes": "x" * 9_000_000})
    reply = await replicas.ask("PUT", "/api/orders/large", {"status": "shipped"}, Idempotency_Key=key)
    assert (reply.status, reply.json["type"].rpartition(":")[2]) == (413, "order-too-large")
    assert await replicas.orders.count_documents({"status": "shipped"}) == 0


async def test_a_client_that_leaves_has_its_order_all_the_same(replicas: Replicas, key: str) -> None:
    asking = asyncio.create_task(replicas.ask("POST", "/api/orders", JOHN, Idempotency_Key=key))
    await until(lambda: replicas.orders.count_documents({}), "the order is there")
    asking.cancel()
    reply = await replicas.ask("POST", "/api/orders", JOHN, of=1, Idempotency_Key=key)
    assert reply.status == 201
    assert await replicas.orders.count_documents({}) == 1
