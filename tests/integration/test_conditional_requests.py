"""Entity tags: a client reads again only what has changed, and overwrites only what it has read."""

import asyncio
import itertools
import json
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from bson import Decimal128, Int64

from tests.integration.replicas import Replicas
from tests.integration.rest_api import JOHN
from tests.waiting import cancel_all

pytestmark = pytest.mark.asyncio(loop_scope="module")
NONE = "0" * 24
MERGE = {"Content-Type": "application/merge-patch+json"}


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def _orders(replicas: Replicas) -> None:
    await replicas.orders.delete_many({})
    await replicas.orders.insert_one({"_id": "a", **JOHN})


async def tag_of(replicas: Replicas, path: str = "/api/orders/a") -> str:
    etag = (await replicas.ask("GET", path)).etag
    assert etag is not None
    return etag


async def test_every_order_has_one_strong_tag_on_all_replicas_and_another_after_each_change(replicas: Replicas) -> None:
    foreign: list[dict[str, Any]] = [
        {"_id": 5},
        {"_id": "b", "status": {"x": [1, None]}, "price": Decimal128("1.10"), "n": Int64(2**60)},
        {"_id": "c", "notes": "x" * 200_000},
    ]
    await replicas.orders.insert_many(foreign)
    for name in ("a", "~i5", "b", "c"):
        path = f"/api/orders/{name}"
        before = await tag_of(replicas, path)
        assert before.startswith('"')
        assert (await replicas.ask("GET", path, of=1)).etag == before
        changed = await replicas.ask("PUT", path, {"status": "shipped"})
        assert changed.etag not in {None, before}
        assert (await replicas.ask("GET", path, of=1)).etag == changed.etag
    made = await replicas.ask("POST", "/api/orders", JOHN)
    assert made.location is not None
    assert made.etag == await tag_of(replicas, made.location)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_order_that_the_client_has_is_not_sent_again(replicas: Replicas, method: str) -> None:
    tag = await tag_of(replicas)
    for known in (tag, f"W/{tag}", "*", f'"x", {tag}', f'W/"x" ,, {tag},'):
        reply = await replicas.ask(method, "/api/orders/a", of=1, If_None_Match=known)
        assert (reply.status, reply.body, reply.etag) == (304, "", tag), known
        assert reply.cursor is not None
    for other in ('"x"', f'"x{tag[1:]}', 'W/"x"'):
        assert (await replicas.ask(method, "/api/orders/a", If_None_Match=other)).status == 200, other
    assert (await replicas.ask(method, f"/api/orders/{NONE}", If_None_Match="*")).status == 404
    assert (await replicas.ask(method, "/api/orders/a", If_Match='"x"')).status == 412
    assert (await replicas.ask(method, "/api/orders/a", If_Match=tag)).status == 200


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_a_write_whose_condition_fails_writes_nothing(replicas: Replicas, method: str) -> None:
    tag = await tag_of(replicas)
    before = await replicas.orders.find().to_list()
    body = None if method == "DELETE" else {"status": "shipped"}
    failing: list[dict[str, str]] = [
        {"If_Match": '"x"'},
        {"If_Match": f"W/{tag}"},
        {"If_Match": f'"x", W/{tag}'},
        {"If_None_Match": "*"},
        {"If_None_Match": tag},
        {"If_None_Match": f"W/{tag}"},
        {"If_Match": tag, "If_None_Match": tag},
    ]
    for headers in failing:
        reply = await replicas.ask(method, "/api/orders/a", body, of=0, **headers)
        assert (reply.status, reply.json["type"].rpartition(":")[2]) == (412, "precondition-failed"), headers
    assert await replicas.orders.find().to_list() == before
    missing = await replicas.ask(method, f"/api/orders/{NONE}", body, If_Match="*")
    assert missing.status == 404, "a condition is not looked at where the answer would be an error without it"
    start = await replicas.now()
    done = await replicas.ask(method, "/api/orders/a", body, If_Match=f'"x", {tag}', If_None_Match='"x"')
    assert done.status == 200
    assert [done.position] == [position for _, _, position in await replicas.changes(start, 1)]


@pytest.mark.parametrize("header", ["If_Match", "If_None_Match"])
@pytest.mark.parametrize("bad", ["", "x", '"x', "W/x", 'w/"x"', '"x" "y"', '*, "x"', '"x"y', ","])
async def test_malformed_tags_are_refused_by_name(replicas: Replicas, header: str, bad: str) -> None:
    before = await replicas.orders.find().to_list()
    for method, path, body in (
        ("GET", "/api/orders/a", None),
        ("PUT", "/api/orders/a", {"status": "shipped"}),
        ("DELETE", "/api/orders/a", None),
        ("POST", "/api/orders", JOHN),
        ("POST", "/api/orders:batch", {"operations": [{"operation": "INSERT", "order": JOHN}]}),
    ):
        reply = await replicas.ask(method, path, body, of=0, **{header: bad})
        assert reply.status == 400, (method, path)
        assert [error["field"] for error in reply.json["errors"]] == [header.replace("_", "-")]
    assert await replicas.orders.find().to_list() == before


async def test_no_change_is_lost_among_two_replicas_and_writers_of_every_kind(replicas: Replicas) -> None:
    """Each writer adds one to what it has read, and reads again when it is refused."""
    replies, turns = itertools.count(1), asyncio.Semaphore(0)

    async def add(of: int, times: int) -> None:
        done = 0
        while done < times:
            read = await replicas.ask("GET", "/api/orders/a", of=of)
            count = int(read.json["product_name"])
            method = ("PUT", "PATCH")[done % 2]
            body = {"product_name": str(count + 1)}
            more = {"Idempotency_Key": str(uuid4())} if done % 3 == 0 else {}
            reply = await replicas.ask(method, "/api/orders/a", body, of=of, If_Match=read.etag or "", **more)
            assert reply.status in {200, 409, 412}, reply
            done += reply.status == 200
            if next(replies) % 2:
                turns.release()

    async def interfere() -> None:
        for number in itertools.count():  # another program, which knows nothing of tags
            await turns.acquire()  # by replies, not by time: on a slow machine it would be first every time
            await replicas.orders.update_one({"_id": "a"}, {"$set": {"notes": number}})

    await replicas.orders.update_one({"_id": "a"}, {"$set": {"product_name": "0"}})
    interfering = asyncio.create_task(interfere())
    try:
        async with asyncio.timeout(60):
            await asyncio.gather(*(add(number, 4) for number in range(4)))
    finally:
        await cancel_all(interfering)
    assert (await replicas.ask("GET", "/api/orders/a")).json["product_name"] == "16"


@pytest.mark.parametrize("content_type", ["application/merge-patch+json", "application/json"])
async def test_a_merge_patch_changes_what_it_names(replicas: Replicas, content_type: str) -> None:
    client = replicas.both[0]
    sent = json.dumps({"status": "shipped"})
    async with client.patch("/api/orders/a", data=sent, headers={"Content-Type": content_type}) as reply:
        assert reply.status == 200
        told = await reply.json()
    assert told == {"_id": "a", **JOHN, "status": "shipped", "updated_at": told["updated_at"]}
    assert (await replicas.ask("GET", "/api/orders/a")).json == told


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"status": None}, "status"),
        ({"customer_name": None, "status": "shipped"}, "customer_name"),
        ({"updated_at": None}, "updated_at"),
        ({"notes": None}, "notes"),
        ({"status": {"x": 1}}, "status"),
        ({}, "body"),
        ([], "body"),
        (None, "body"),
    ],
)
async def test_a_merge_patch_that_no_order_can_take_is_refused_by_field(
    replicas: Replicas, patch: Any, field: str
) -> None:
    async with replicas.both[0].patch("/api/orders/a", data=json.dumps(patch), headers=MERGE) as reply:
        problem = await reply.json(content_type="application/problem+json")
    assert (reply.status, [error["field"] for error in problem["errors"]]) == (422, [field])
    assert await replicas.orders.find_one() == {"_id": "a", **JOHN}


async def test_another_type_of_patch_is_told_which_are_taken(replicas: Replicas) -> None:
    headers = {"Content-Type": "application/json-patch+json"}
    async with replicas.both[0].patch("/api/orders/a", data="[]", headers=headers) as reply:
        assert (reply.status, reply.headers["Accept-Patch"]) == (415, "application/merge-patch+json, application/json")
    async with replicas.both[0].options("/api/orders/a") as reply:
        assert (reply.status, reply.headers["Accept-Patch"]) == (204, "application/merge-patch+json, application/json")
    async with replicas.both[0].put("/api/orders/a", data="{}", headers=MERGE) as reply:
        assert (reply.status, reply.headers["Accept"]) == (415, "application/json")
