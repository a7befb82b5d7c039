"""The changes of one order, newest first, from wherever they are still known, and to those who may know them."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from services.common.cursor import Cursor
from tests.access.tokens import token as token_of
from tests.servers import Servers
from tests.snapshots.conftest import Scene, scene_on
from tests.snapshots.followers import Follower, following
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

PENDING = {"customer_name": "Ada", "product_name": "thing", "status": "pending"}


async def ask(
    url: str, order: str, query: Mapping[str, str] | None = None, *, token: str | None = None
) -> tuple[int, Any, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{url}/api/orders/{order}/history", params=query, headers=headers) as reply:
                if reply.status != 503:
                    next_page = reply.links["next"]["url"] if "next" in reply.links else None
                    return reply.status, await reply.json(), next_page
                await asyncio.sleep(float(reply.headers["Retry-After"]))  # on a machine that is too busy to search


async def history(url: str, order: str, **query: str) -> dict[str, Any]:
    """Return the past of an order, or a page of it; a page ends early where the machine is busy."""
    status, body, next_page = await ask(url, order, query)
    pages = [body] if status == 200 else []
    while next_page is not None and not query:
        status, body, next_page = await ask(url, order, next_page.query)
        pages += [body] if status == 200 else []
    assert pages, body
    return {**pages[-1], "changes": [change for page in pages for change in page["changes"]]}


async def lived(scene: Scene) -> str:
    """Let an order live and die; return its id."""
    name = (await scene.orders.insert_one(dict(PENDING))).inserted_id
    await scene.orders.update_one({"_id": name}, {"$set": {"status": "shipped", "note": "left at the door"}})
    await scene.orders.update_one({"_id": name}, {"$set": {"product_name": "other thing"}, "$unset": {"note": 1}})
    await scene.orders.delete_one({"_id": name})
    return str(name)


LIFE = [
    (
        "DELETE",
        [
            {"field": "customer_name", "from": "Ada", "to": None},
            {"field": "product_name", "from": "other thing", "to": None},
            {"field": "status", "from": "shipped", "to": None},
        ],
    ),
    (
        "UPDATE",
        [
            {"field": "note", "from": "left at the door", "to": None},
            {"field": "product_name", "from": "thing", "to": "other thing"},
        ],
    ),
    (
        "UPDATE",
        [
            {"field": "note", "from": None, "to": "left at the door"},
            {"field": "status", "from": "pending", "to": "shipped"},
        ],
    ),
    (
        "INSERT",
        [
            {"field": "customer_name", "from": None, "to": "Ada"},
            {"field": "product_name", "from": None, "to": "thing"},
            {"field": "status", "from": None, "to": "pending"},
        ],
    ),
]


def told(body: dict[str, Any]) -> list[Any]:
    return [(change["operation"], change["fields"]) for change in body["changes"]]


async def test_a_life_is_told_the_same_from_memory_redis_and_the_oplog(emptied: Scene) -> None:
    order = await lived(emptied)
    without_oplog = await emptied.start("gateway", RING_EVENTS="100", REPLAY_MAX_AGE_SECONDS="0")
    with_all = await emptied.start("gateway", RING_EVENTS="100")
    await until(lambda: in_memory(without_oplog.url, order), "it is in memory")
    told_first = await history(with_all.url, order)
    assert told(told_first) == LIFE
    assert await history(without_oplog.url, order) == told_first
    # More than the ring of these gateways holds.
    await emptied.orders.insert_many([{**PENDING, "number": number} for number in range(300)])
    last = str((await emptied.orders.insert_one(dict(PENDING))).inserted_id)
    for gateway in (without_oplog, with_all):
        await until(lambda: in_memory(gateway.url, last), "the gateway has them")  # noqa: B023
        assert await history(gateway.url, order) == told_first, "from Redis"
    await emptied.redis.xtrim("{orders}:log", maxlen=1, approximate=False)
    assert await history(with_all.url, order) == told_first, "from the oplog"
    assert (await ask(without_oplog.url, order))[0] == 404, "which this one does not ask"
    await emptied.redis.flushdb()
    assert await history(with_all.url, order) == told_first, "without Redis"


async def in_memory(url: str, order: str) -> bool:
    status, body, _ = await ask(url, order)
    return status == 200 and bool(body["changes"])


async def test_pages_lead_back_without_a_gap_or_an_overlap(emptied: Scene) -> None:
    name = (await emptied.orders.insert_one({"_id": "many", **PENDING, "number": 0})).inserted_id
    for number in range(1, 25):
        await emptied.orders.update_one({"_id": name}, {"$set": {"number": number}})
    found: list[Any] = []
    next_url: Any = f"{emptied.urls[0]}/api/orders/many/history?limit=7"
    since = ""
    async with aiohttp.ClientSession() as session:
        for _ in range(20):
            async with session.get(next_url) as reply:
                assert reply.status == 200
                body = await reply.json()
                found += body["changes"]
                since = body["complete_since"]
                if "next" not in reply.links:
                    break
                next_url = reply.links["next"]["url"]
    numbers = [field["to"] for change in found for field in change["fields"] if field["field"] == "number"]
    assert numbers == [*reversed(range(25))]
    assert all("from" in field for change in found for field in change["fields"])
    positions = [Cursor.parse(change["cursor"]).position for change in found]
    assert positions == sorted(set(positions), reverse=True)
    assert Cursor.parse(since).position < positions[-1]


async def test_a_change_in_a_transaction_has_the_cursor_of_its_event(emptied: Scene) -> None:
    """Also where only the oplog still has it, which numbers the changes of all orders of the transaction."""
    names = [f"t{number}" for number in range(4)]
    client = Follower()
    async with following(emptied.urls[0], "sse", client):
        await client.has("live")
        async with emptied.orders.database.client.start_session() as session, await session.start_transaction():
            for name in names:
                await emptied.orders.insert_one({"_id": name, **PENDING}, session=session)
            await emptied.orders.update_one({"_id": "t2"}, {"$set": {"status": "shipped"}}, session=session)
        await client.has("orderUpdate", 5)
    events = {(each["id"], each["operation"]): each["cursor"] for each in client.named("orderUpdate")}
    expected = [events["t2", "UPDATE"], events["t2", "INSERT"]]
    assert [change["cursor"] for change in (await history(emptied.urls[0], "t2"))["changes"]] == expected
    await emptied.redis.xtrim("{orders}:log", maxlen=0, approximate=False)
    fresh = await emptied.start("gateway", RING_EVENTS="10")
    assert [change["cursor"] for change in (await history(fresh.url, "t2"))["changes"]] == expected
    assert [change["cursor"] for change in (await history(fresh.url, "t2", limit="1"))["changes"]] == expected[:1]


async def test_who_has_just_written_finds_it(emptied: Scene) -> None:
    async with aiohttp.ClientSession() as session:
        for number in range(20):
            async with session.post(f"{emptied.urls[0]}/api/orders", json=PENDING) as reply:
                written = await reply.json()
                cursor = reply.headers["Stream-Cursor"]
            body = await history(emptied.urls[number % 2], written["_id"])
            assert [change["cursor"] for change in body["changes"]] == [cursor]


@pytest.mark.parametrize("order", ["000000000000000000000000", "never seen", "a%2Fb"])
async def test_an_order_never_seen_is_not_found(scene: Scene, order: str) -> None:
    status, body, _ = await ask(scene.urls[0], order)
    assert (status, body["type"]) == (404, "urn:realtime-orders:problem:order-not-found")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"before": "x"}, "before"),
        ({"after": "x"}, "after"),
    ],
)
async def test_a_wrong_query_is_refused_by_field(scene: Scene, query: dict[str, str], field: str) -> None:
    status, body, _ = await ask(scene.urls[0], "any", query)
    assert (status, [each["field"] for each in body["errors"]]) == (422, [field])


async def test_a_cursor_of_another_stretch_of_history_leads_nowhere(scene: Scene) -> None:
    status, _, link = await ask(scene.urls[0], "any", {"before": "zz.5-0"})
    assert (status, link) == (404, None)


async def test_each_change_is_judged_by_the_order_before_and_after_it(emptied: Scene) -> None:
    gateway = await emptied.guarded(RING_EVENTS="10")
    orders = emptied.orders
    await orders.insert_one({"_id": "moved", **PENDING, "customer_name": "Eve", "note": "of Eve"})
    await orders.update_one({"_id": "moved"}, {"$set": {"status": "shipped"}})
    await orders.update_one({"_id": "moved"}, {"$set": {"customer_name": "Ada", "note": "of Ada"}})
    await orders.update_one({"_id": "moved"}, {"$set": {"product_name": "other"}})
    await orders.update_one({"_id": "moved"}, {"$set": {"customer_name": "Eve"}})
    await orders.update_one({"_id": "moved"}, {"$set": {"customer_name": "Ada", "note": "Ada again"}})
    ada, eve, all_of_it = (token_of(rights=each) for each in ({"customer_name": "Ada"}, {"customer_name": "Eve"}, "*"))
    for is_in_oplog_only in (False, True):
        if is_in_oplog_only:
            await orders.insert_many([dict(PENDING) for _ in range(50)])
            await emptied.redis.xtrim("{orders}:log", maxlen=1, approximate=False)
        status, body, _ = await ask(gateway.url, "moved", token=ada)
        assert status == 200
        assert [(each["operation"], each.get("left", False)) for each in body["changes"]] == [
            ("UPDATE", False),
            ("DELETE", True),
            ("UPDATE", False),
            ("UPDATE", False),
        ]
        assert "of Eve" not in str(body)
        came = {field["field"]: field for field in body["changes"][3]["fields"]}
        assert came["note"] == {"field": "note", "to": "of Ada"}, "what it was before is not told"
        assert "from" not in came["customer_name"]
        assert body["changes"][1]["fields"] == []
        status, full, _ = await ask(gateway.url, "moved", token=all_of_it)
        assert (status, len(full["changes"])) == (200, 6)
        status, refusal, link = await ask(gateway.url, "moved", token=eve)
        assert (status, link) == (404, None)
        _, unknown, _ = await ask(gateway.url, "never there", token=eve)
        assert {**refusal, "instance": ""} == {**unknown, "instance": ""}
    hers = {"before": full["changes"][0]["cursor"]}
    assert (await ask(gateway.url, "moved", hers, token=eve))[0] == 404
    await orders.delete_one({"_id": "moved"})
    status, body, _ = await ask(gateway.url, "moved", token=ada)
    assert (status, body["changes"][0]["operation"]) == (200, "DELETE")
    assert (await ask(gateway.url, "moved", token=eve))[0] == 404, "it was another one's when it was deleted"
    assert (await ask(gateway.url, "moved", hers, token=eve))[0] == 404, "nor do earlier pages tell of the deletion"
    status, body, _ = await ask(gateway.url, "moved", {"before": body["changes"][0]["cursor"]}, token=ada)
    assert (status, len(body["changes"])) == (200, 4), "to the one who saw it last, its past is shown page by page"


async def test_a_dropped_collection_ends_the_past(emptied: Scene) -> None:
    await emptied.orders.insert_one({"_id": "again", **PENDING})
    await history(emptied.urls[0], "again")
    await emptied.orders.drop()
    options: dict[str, Any] = {"changeStreamPreAndPostImages": {"enabled": True}}
    await emptied.orders.database.create_collection("orders", **options)
    await emptied.orders.insert_one({"_id": "again", **PENDING, "status": "shipped"})

    async def told_anew() -> bool:
        status, body, link = await ask(emptied.urls[0], "again")
        return status == 200 and len(body["changes"]) == 1 and link is None

    await until(told_anew, "only what happened since then")


async def test_fields_that_are_not_visible_are_in_no_history_and_no_snapshot(
    session_servers: Servers, tmp_path: Path
) -> None:
    async with scene_on(session_servers, tmp_path) as scene:
        scene.environment["VISIBLE_FIELDS"] = "product_name,status"
        await scene.start("watcher")
        gateway = await scene.start("gateway", RING_EVENTS="10")
        secret = {"customer_name": "Secret Ada", "note": "Secret note"}
        await scene.orders.insert_one({"_id": "masked", **PENDING, **secret})
        await scene.orders.update_one({"_id": "masked"}, {"$set": {"customer_name": "Secret Eve", "status": "shipped"}})
        client = Follower()
        async with following(gateway.url, "sse", client):
            await client.has("live")
        assert client.rows == {"masked": {"_id": "masked", "product_name": "thing", "status": "shipped"}}
        for is_in_oplog_only in (False, True):
            if is_in_oplog_only:
                await scene.orders.insert_many([dict(PENDING) for _ in range(50)])
                await scene.redis.xtrim("{orders}:log", maxlen=1, approximate=False)
            body = await history(gateway.url, "masked")
            assert "Secret" not in str(body)
            assert body["changes"][0]["fields"] == [{"field": "status", "from": "pending", "to": "shipped"}]
