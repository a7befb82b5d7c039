"""What a client that asks for the orders and their changes is told, by every transport."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from services.common.cursor import Cursor
from tests.access.tokens import token
from tests.snapshots.conftest import Scene
from tests.snapshots.followers import EVENTS, TRANSPORTS, UNLIMITED, Follower, following
from tests.waiting import HANGS, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADA = {"customer_name": "Ada", "product_name": "thing", "status": "pending"}
EVE = {"customer_name": "Eve", "product_name": "thing", "status": "pending"}


async def answer(url: str, accept: str, **query: str) -> tuple[int, str, Any]:
    """Return status, type and beginning of an answer to a list."""
    async with (
        aiohttp.ClientSession(timeout=UNLIMITED) as session,
        session.get(f"{url}/api/orders", params=query, headers={"Accept": accept}) as reply,
    ):
        is_problem = reply.content_type == "application/problem+json"
        return reply.status, reply.content_type, await reply.json() if is_problem else await reply.content.readany()


@pytest.mark.parametrize(
    "accept",
    [
        "text/event-stream",
        "text/event-stream, */*",
        "Text/Event-Stream;q=0.9, application/json;q=0.8",
        "text/event-stream;q=0.5, application/json;q=0.4, */*;q=0.1",
    ],
)
async def test_who_prefers_events_gets_them(scene: Scene, accept: str) -> None:
    status, kind, begun = await answer(scene.urls[0], accept)
    assert (status, kind) == (200, "text/event-stream")
    assert b"event: connected" in begun


@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "application/json",
        "text/event-stream, application/json",
        "text/event-stream;q=0.5, application/json;q=0.6",
        "text/event-stream;q=0, */*",
        "text/event-stream;q=0.5, */*",
        "text/html,application/xhtml+xml,*/*;q=0.8",
        "text/event-stream;q=2",
        "",
        ";;,q=1,/",
    ],
)
async def test_all_others_get_the_list(scene: Scene, accept: str) -> None:
    status, kind, _ = await answer(scene.urls[0], accept)
    assert (status, kind) == (200, "application/json")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"),
        ("limit", "1000000"),
        ("limit", "x"),
        ("limit", "-1"),
        ("after", "a"),
        ("status", "lost"),
        ("q", "a"),
    ],
)
async def test_a_wrong_query_is_refused_by_field(scene: Scene, name: str, value: str) -> None:
    status, kind, body = await answer(scene.urls[0], "text/event-stream", **{name: value})
    assert (status, kind) == (422, "application/problem+json")
    assert [(each["in"], each["field"]) for each in body["errors"]] == [("query", name)]


async def test_a_limit_is_of_the_newest_orders_and_not_of_the_changes(emptied: Scene) -> None:
    await emptied.orders.insert_many([{"_id": f"{number:03}", **ADA} for number in range(300)])
    client = Follower()
    async with following(emptied.urls[0], "sse", client, limit="150"):
        await client.has("live")
        assert sorted(client.rows) == [f"{number:03}" for number in range(150, 300)]
        await emptied.orders.update_one({"_id": "000"}, {"$set": {"status": "shipped"}})
        assert (await client.has("orderUpdate"))["id"] == "000"
    assert client.faults == []


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_there_may_be_no_orders(emptied: Scene, transport: str) -> None:
    client = Follower(rows={"old": {}})
    async with following(emptied.urls[0], transport, client):
        assert (await client.has("live"))["count"] == 0
        assert client.rows == {}
        assert [payload["part"] for payload in client.named("snapshot")] == [0], "so that it forgets what it had"


async def test_the_orders_are_sent_in_several_events_newest_first(emptied: Scene) -> None:
    await emptied.orders.insert_many([{"_id": f"{number:04}", **ADA} for number in range(1500)])
    client = Follower()
    async with following(emptied.urls[0], "sse", client):
        await client.has("live")
    events = [name for name, _ in client.told]
    assert events == ["connected", *["snapshot"] * client.parts, "live"]
    assert client.parts >= 4
    assert [*client.rows] == [f"{number:04}" for number in reversed(range(1500))]
    assert client.named("connected")[0]["cursor"] == "snapshot"


async def test_large_orders_come_one_by_one(emptied: Scene) -> None:
    """Together they are more than one reply of MongoDB holds."""
    await emptied.orders.insert_many([{"_id": f"{number:02}", **ADA, "note": "x" * 1_500_000} for number in range(12)])
    for transport in TRANSPORTS:
        client = Follower()
        async with following(emptied.urls[0], transport, client):
            await client.has("live")
            assert len(client.rows) == 12
            assert [len(each["orders"]) for each in client.named("snapshot")] == [1] * 12
        assert client.faults == []


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_subscription_with_snapshot_is_acknowledged_and_shown_from_the_start(
    emptied: Scene, transport: str
) -> None:
    tail = Follower()
    async with following(emptied.urls[0], "sse", tail):
        await tail.has("live")
        await emptied.orders.insert_many([{"_id": f"a{number}", **ADA} for number in range(120)])
        await emptied.orders.insert_many([{"_id": f"e{number}", **EVE} for number in range(5)])
        await until(lambda: "e4" in tail.rows, "the gateway has announced them")
    client = Follower(since="none yet")
    async with following(emptied.urls[0], transport, client):
        assert await client.has("resync"), "with an unknown cursor it is shown nothing"
        assert client.named("snapshot") == []
        assert await client.ask("subscribe", {"customer_name": "Ada", "snapshot": True}) == {"cursor": "snapshot"}
        await client.has("live")
        assert len(client.rows) == 120
        # One more filter: all that fits any of them is shown anew.
        assert await client.ask("subscribe", {"customer_name": "Eve", "snapshot": True}) == {"cursor": "snapshot"}
        await client.has("live", 2)
        assert len(client.rows) == 125
        assert "." in (await client.ask("subscribe", {"status": "shipped", "snapshot": False}))["cursor"]
        await emptied.orders.update_one({"_id": "e1"}, {"$set": {"status": "delivered"}})
        await until(lambda: client.rows["e1"]["status"] == "delivered", "the tail follows")
        for wrong in ("yes", 1, None, [True]):
            refusal = await client.ask("subscribe", {"snapshot": wrong})
            assert refusal["error"]["field"] == "snapshot"
        assert "error" in await client.ask("unsubscribe", {"status": "shipped", "snapshot": True})
        assert "error" in await client.ask("subscribe", {"colour": "red", "snapshot": True})
    assert client.faults == ["resync invalid_cursor"]


async def packets(websocket: Any, enough: Any) -> list[Any]:
    """Return the events that come until one is enough, as a stock client parses them."""
    found: list[Any] = []
    async with asyncio.timeout(HANGS):
        while not found or not enough(found[-1]):
            text = await websocket.receive_str()
            if text == "2":
                await websocket.send_str("3")
            elif text.startswith("42"):
                found.append(json.loads(text[2:]))
    return found


async def test_recovery_inside_a_snapshot_restarts_it_on_any_replica(emptied: Scene) -> None:
    await emptied.orders.insert_many([{**ADA, "number": number} for number in range(700)])
    await emptied.orders.insert_many([dict(EVE) for _ in range(3)])
    sockets = [f"{url}/socket.io/?EIO=4&transport=websocket" for url in emptied.urls]
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(sockets[0]) as websocket:
            await websocket.receive_str()
            await websocket.send_str("40{}")
            pid = json.loads((await websocket.receive_str())[2:])["pid"]
            await websocket.send_str('42["subscribe",{"customer_name":"Ada","snapshot":true}]')
            seen = await packets(websocket, lambda event: event[0] == "snapshot")
        offset = seen[-1][-1]
        assert offset.startswith("snapshot~")
        subscribed = next(event for event in seen if event[0] == "subscribed")
        assert subscribed[-1] == offset, "from the acknowledgement on it is inside"
        async with session.ws_connect(sockets[1]) as websocket:
            await websocket.receive_str()
            await websocket.send_str("40" + json.dumps({"pid": pid, "offset": offset}))
            assert json.loads((await websocket.receive_str())[2:])["pid"] == pid, "recovered"
            seen = await packets(websocket, lambda event: event[0] == "live")
            assert seen[0][0] == "connected"
            assert seen[0][-1] == offset
            orders = [order for event in seen if event[0] == "snapshot" for order in event[1]["orders"]]
            assert len(orders) == 700
            offset = seen[-1][-1]
        await emptied.orders.insert_one({"_id": "after it", **ADA})
        async with session.ws_connect(sockets[0]) as websocket:
            await websocket.receive_str()
            await websocket.send_str("40" + json.dumps({"pid": pid, "offset": offset}))
            await websocket.receive_str()
            seen = await packets(websocket, lambda event: event[0] == "orderUpdate")
            assert [event[0] for event in seen] == ["connected", "orderUpdate"], "after it, by the cursor"


async def test_a_cursor_out_of_reach_is_told_and_followed_by_the_orders(emptied: Scene) -> None:
    await emptied.orders.insert_many([dict(ADA) for _ in range(3)])
    for since, reason in (("zz.5-0", "epoch_unknown"), ("nonsense", "invalid_cursor")):
        client = Follower(since=since)
        async with following(emptied.urls[0], "sse", client):
            await client.has("live")
            assert [name for name, _ in client.told] == ["connected", "resync", "snapshot", "live"]
            assert client.named("resync")[0]["cursor"] == "snapshot"
            assert client.faults == [f"resync {reason}"]
            assert len(client.rows) == 3


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_two_subjects_are_shown_what_each_may_see(emptied: Scene, transport: str) -> None:
    gateway = await emptied.guarded()
    await emptied.orders.insert_many([{"_id": f"a{number}", **ADA} for number in range(150)])
    await emptied.orders.insert_many([{"_id": f"e{number}", **EVE} for number in range(130)])
    ada, eve = Follower(), Follower()
    of_ada, of_eve = (token(name.lower(), rights={"customer_name": name}) for name in ("Ada", "Eve"))
    async with (
        following(gateway.url, transport, ada, token=of_ada),
        following(gateway.url, transport, eve, {"customer_name": "Eve"}, token=of_eve),
    ):
        await ada.has("live")
        await eve.has("live")
        assert {order["customer_name"] for order in ada.rows.values()} == {"Ada"}
        assert {order["customer_name"] for order in eve.rows.values()} == {"Eve"}
        assert (len(ada.rows), len(eve.rows)) == (150, 130)
        await emptied.orders.update_one({"_id": "a1"}, {"$set": {"customer_name": "Eve"}})
        await until(lambda: "a1" not in ada.rows and "a1" in eve.rows, "it changes hands")
    nobody = Follower()
    async with following(gateway.url, transport, nobody, {"customer_name": "Eve"}, token=of_ada):
        assert (await nobody.has("live"))["count"] == 0
    assert [ada.faults, eve.faults, nobody.faults] == [[], [], []]


async def test_a_ticket_opens_it_and_no_plain_list(emptied: Scene) -> None:
    gateway = await emptied.guarded()
    headers = {"Authorization": f"Bearer {token(rights='*')}"}
    async with aiohttp.ClientSession(timeout=UNLIMITED) as session:
        tickets = []
        for _ in range(2):
            async with session.post(f"{gateway.url}/api/tickets", headers=headers) as reply:
                tickets.append((await reply.json())["ticket"])
        async with session.get(f"{gateway.url}/api/orders", params={"ticket": tickets[0]}) as reply:
            assert reply.status == 401
        async with session.get(f"{gateway.url}/api/orders", params={"ticket": tickets[1]}, headers=EVENTS) as reply:
            assert reply.status == 200
            assert b"connected" in await reply.content.readany()


async def test_rights_that_change_inside_a_snapshot_restart_it(emptied: Scene) -> None:
    gateway = await emptied.guarded(CLIENT_STALL_SECONDS="60")
    await emptied.orders.insert_many([{**ADA, "note": "x" * 20_000} for _ in range(800)])
    await emptied.orders.insert_many([{**EVE, "note": "x" * 20_000} for _ in range(100)])
    url = f"{gateway.url}/socket.io/?EIO=4&transport=websocket"
    one, other = token(rights="*"), token(rights={"customer_name": "Eve"})
    async with aiohttp.ClientSession() as session, session.ws_connect(url, max_msg_size=1 << 25) as websocket:
        await websocket.receive_str()
        await websocket.send_str("40" + json.dumps({"token": one}))
        await packets(websocket, lambda event: event[0] == "connected")
        await websocket.send_str('42["subscribe",{"snapshot":true}]')
        await packets(websocket, lambda event: event[0] == "snapshot")
        # It reads nothing meanwhile, so the rest of 18 MB cannot have been sent.
        await websocket.send_str("421" + json.dumps(["authenticate", {"token": other}]))
        seen = await packets(websocket, lambda event: event[0] == "live")
        resync = next(index for index, event in enumerate(seen) if event[0] == "resync")
        assert seen[resync][1]["reason"] == "rights_changed"
        assert seen[resync][1]["cursor"] == "snapshot"
        shown = [order for event in seen[resync:] if event[0] == "snapshot" for order in event[1]["orders"]]
        assert len(shown) == 100
        assert {order["customer_name"] for order in shown} == {"Eve"}
        assert seen[-1][1]["count"] == 100
        assert Cursor.parse(seen[-1][1]["cursor"])
