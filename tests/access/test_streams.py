"""A stream is its subject's: it ends with the token, is renewed and recovered by nobody else, and obeys new rights."""

import asyncio
import json
import time
from typing import Any

import aiohttp
import pytest
import socketio

from tests.access.conftest import Gate
from tests.access.tokens import bearer, token
from tests.access.viewers import TRANSPORTS, here, socket, sse, viewer
from tests.waiting import HANGS, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADA = {"customer_name": "Ada", "status": "pending"}
EVE = {"customer_name": "Eve", "status": "pending"}
SOON = 8  # seconds in which a token expires: enough to do something with it on a busy machine
OF_ADA = {"customer_name": "Ada"}


async def refused(url: str, auth: dict[str, Any], query: str = "") -> str:
    client = socketio.AsyncClient(reconnection=False)
    refusals: list[Any] = []
    client.on("connect_error", refusals.append)
    try:
        with pytest.raises(socketio.exceptions.ConnectionError):
            await client.connect(f"{url}{query}", auth=auth, transports=["websocket"], wait_timeout=HANGS)
    finally:
        await client.disconnect()
    return str(refusals[0]["message"])


async def test_a_stream_ends_with_its_token_after_a_warning(gate: Gate) -> None:
    gateway = await gate.product.gateway(JWT_LEEWAY_SECONDS="0")
    await asyncio.gather(*(ends_with_its_token(gate, gateway.url, transport) for transport in TRANSPORTS))


async def ends_with_its_token(gate: Gate, url: str, transport: str) -> None:
    expires = int(time.time() + SOON)
    async with viewer(url, transport, token(seconds=SOON, rights="*")) as shown:
        warning = await shown.has("expiring")
        assert warning["at"].endswith("Z")
        await gate.orders.insert_one({**ADA})
        await shown.has("orderUpdate")
        assert await shown.has("ended") == {"reason": "token_expired"}
        assert time.time() >= expires
        await until(lambda: shown.is_over, "the connection is closed")
        told = len(shown.told)
        await gate.orders.insert_one({**ADA})
        async with viewer(url, transport, token(rights="*")) as other:
            await gate.orders.insert_one({**ADA})
            await other.has("orderUpdate")
        assert len(shown.told) == told
        assert shown.names[-1] == "ended"


async def test_a_socket_is_renewed_by_its_own_subject(gate: Gate) -> None:
    gateway = await gate.product.gateway(JWT_LEEWAY_SECONDS="0")
    await asyncio.gather(*(is_renewed(gate, gateway.url, transport) for transport in ("websocket", "polling")))


async def is_renewed(gate: Gate, url: str, transport: str) -> None:
    async with viewer(url, transport, token("ada", seconds=SOON, rights=OF_ADA)) as shown:
        expires = time.time() + SOON
        for bad, reason in (
            (token("eve", rights=OF_ADA), "other_subject"),
            (token("ada", seconds=-9), "token_expired"),
            (token("ada", "orders:write"), "scope_missing"),
            ("hostile", "token_invalid"),
            (None, "token_invalid"),
        ):
            assert await shown.ask("authenticate", {"token": bad}) == {"error": {"reason": reason}}
        assert await shown.ask("authenticate") == {"error": {"reason": "token_invalid"}}
        answer = await shown.ask("authenticate", {"token": token("ada", rights=OF_ADA)})
        assert answer["expires_at"] > time.strftime("%Y-%m-%dT%H:%M", time.gmtime(time.time() + 3000))
        await asyncio.sleep(expires - time.time() + 0.5)  # nothing announces that the first token has expired
        assert "ended" not in shown.names
        assert "resync" not in shown.names, "with the same rights, nothing must be reloaded"
        await gate.orders.insert_one({**ADA})
        await shown.has("orderUpdate")


OTHER_RIGHTS: dict[str, tuple[Any, Any]] = {
    "fewer, of all": ("*", OF_ADA),
    "fewer, of some": ([OF_ADA, {"customer_name": "Eve"}], OF_ADA),
    "fewer by another field": (OF_ADA, {"customer_name": "Ada", "status": ["pending", "delivered"]}),
    "more": ({"customer_name": "Ada", "status": "pending"}, OF_ADA),
    "all": (OF_ADA, "*"),
    "others": ({"customer_name": "Eve"}, OF_ADA),
    "some, of none": ([], OF_ADA),
}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("rights", OTHER_RIGHTS)
async def test_who_comes_back_with_other_rights_must_reload(gate: Gate, transport: str, rights: str) -> None:
    """It may have orders that it may no longer see, and what it may see only now it was never shown."""
    before, now = OTHER_RIGHTS[rights]
    name = f"{transport} {rights}"
    async with viewer(gate.url, transport, token("ada", rights=before)) as shown:
        await gate.orders.insert_many([{"_id": f"{name} {n}", **order} for n, order in enumerate((ADA, EVE))])
        known = [
            shown.named("connected")[0]["cursor"],
            *([(await shown.has("orderUpdate"))["cursor"]] if before else []),
        ]
    known.append(await here(gate.url, token("ada", rights=before)))
    async with viewer(gate.url, transport, token("eve", rights="*")) as shown:
        await gate.orders.insert_one({"_id": f"{name} missed", **ADA})
        await shown.has("orderUpdate")  # so it is behind us, and would come by a resume only
    for since in known:
        async with viewer(gate.url, transport, token("ada", rights=now), since=since) as shown:
            resync = await shown.has("resync")
            assert resync["reason"] == "rights_changed"
            assert shown.updates == []
        # From where it was told to reload, it resumes without another word.
        async with viewer(gate.url, transport, token("ada", rights=now), since=resync["cursor"]) as shown:
            await gate.orders.insert_one({"_id": f"{name} {since}", **ADA})
            await shown.has("orderUpdate")
            assert [each["id"] for each in shown.updates] == [f"{name} {since}"]
            assert "resync" not in shown.names


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_equal_rights_in_other_words_are_the_same_at_every_replica(gate: Gate, transport: str) -> None:
    one = token("ada", rights=[{"customer_name": ["Eve", "Ada"]}, {"status": "shipped"}])
    same = token("ada", rights=[{"status": ["shipped"]}, {"customer_name": ["Ada", "Eve", "Ada"]}])
    other = await gate.product.gateway()
    since = await here(gate.url, one)
    await gate.orders.insert_one({"_id": f"same {transport}", **ADA})
    async with viewer(other.url, transport, same, since=since) as shown:
        update = await shown.has("orderUpdate")
        assert update["id"] == f"same {transport}"
        assert "resync" not in shown.names
    await gate.orders.insert_one({"_id": f"same again {transport}", **ADA})
    async with viewer(gate.url, transport, one, since=update["cursor"]) as shown:
        await shown.has("orderUpdate")
        assert [each["id"] for each in shown.updates] == [f"same again {transport}"]
        assert "resync" not in shown.names


async def test_all_that_names_a_position_names_it_alike(gate: Gate) -> None:
    """The event, its id, the answer to the write, the order, the list and the history: programs compare them."""
    own = bearer(token("ada", rights=OF_ADA))
    async with aiohttp.ClientSession(gate.url, headers=own) as http:
        async with http.get("/api/orders/events") as stream:
            order = {**ADA, "product_name": "Abacus"}
            async with http.post("/api/orders", json=order) as written:
                cursor, order_id = written.headers["Stream-Cursor"], (await written.json())["_id"]
            lines: list[str] = []
            while f'"{order_id}"' not in "".join(lines):
                lines.append((await stream.content.readline()).decode())
            assert f"id: {cursor}\n" in lines
            assert json.loads(lines[-1].removeprefix("data: "))["cursor"] == cursor
        async with http.get(f"/api/orders/{order_id}/history") as past:
            body = await past.json()
            assert [each["cursor"] for each in body["changes"]] == [cursor]
        view = cursor.partition(".")[0]
        for path in ("/api/orders", f"/api/orders/{order_id}"):
            async with http.get(path) as answer:
                assert answer.headers["Stream-Cursor"].partition(".")[0] == view
        async with http.get("/api/orders", headers={"Accept": "text/csv"}) as answer:
            assert answer.headers["Stream-Cursor"].partition(".")[0] == view


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_rights_that_shrink_by_a_new_token_take_effect_at_once(gate: Gate, transport: str) -> None:
    async with (
        viewer(gate.url, transport, token("ada", rights="*")) as shown,
        sse(gate.url, headers=bearer(token(rights="*"))) as all_of_it,
    ):
        await gate.orders.insert_one({"_id": f"1 {transport}", **EVE})
        await shown.has("orderUpdate")
        await shown.ask("authenticate", {"token": token("ada", rights=OF_ADA)})
        await gate.orders.insert_one({"_id": f"2 {transport}", **EVE})
        await gate.orders.insert_one({"_id": f"3 {transport}", **ADA})
        assert (await shown.has("resync"))["reason"] == "rights_changed"
        await shown.has("orderUpdate", 2)
        await all_of_it.has("orderUpdate", 3)
        assert [each["id"] for each in shown.updates] == [f"1 {transport}", f"3 {transport}"]


async def test_filters_narrow_rights_and_never_widen_them(gate: Gate) -> None:
    async with viewer(gate.url, "websocket", token(rights=OF_ADA), filter={"customer_name": "Eve"}) as shown:
        for wanted in ({"customer_name": ["Eve", "Ada"]}, {"status": "pending"}, None):
            assert "cursor" in await shown.ask("subscribe", *([wanted] if wanted else []))
        await gate.orders.insert_many([{"_id": "narrow e", **EVE}, {"_id": "narrow a", **ADA}])
        await shown.has("orderUpdate")
        assert [each["id"] for each in shown.updates] == ["narrow a"]
        await shown.ask("unsubscribe")
        await shown.ask("subscribe", {"status": "shipped"})
        await gate.orders.update_many({"_id": {"$in": ["narrow e", "narrow a"]}}, {"$set": {"status": "shipped"}})
        await shown.has("orderUpdate", 2)
        assert [each["id"] for each in shown.updates] == ["narrow a"] * 2


async def connected(gate: Gate, url: str, auth: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """Connect as a reconnecting stock client does, by hand; return the first packets and the CONNECT reply."""
    address = f"{url}/socket.io/?EIO=4&transport=websocket"
    async with aiohttp.ClientSession() as session, session.ws_connect(address) as websocket:
        await websocket.receive_str()
        await websocket.send_str(f"40{json.dumps(auth)}")
        reply = await websocket.receive_str()
        assert reply.startswith("40"), reply
        packets: list[str] = []
        # All rights of these tests allow it, and everything that was missed comes before it.
        marker = {"customer_name": "Ada", "status": "delivered", "product_name": "recovery marker"}
        await gate.orders.insert_one(marker)
        async with asyncio.timeout(HANGS):
            while not packets or "recovery marker" not in packets[-1]:
                packets.append(await websocket.receive_str())
        return packets, json.loads(reply[2:])


async def test_a_stolen_pid_recovers_nothing(gate: Gate) -> None:
    """The session id of another subject is like an invented one, on the same replica and on any other."""
    async with aiohttp.ClientSession() as session:
        address = f"{gate.url}/socket.io/?EIO=4&transport=websocket"
        async with session.ws_connect(address) as websocket:
            await websocket.receive_str()
            await websocket.send_str(f"40{json.dumps({'token': token('ada', rights=OF_ADA)})}")
            pid = json.loads((await websocket.receive_str())[2:])["pid"]
            hello = json.loads((await websocket.receive_str())[2:])
            offset = hello[2]
    await gate.orders.insert_one({"_id": "missed", **ADA})
    other = await gate.product.gateway()
    for url in (gate.url, other.url):
        back = {"pid": pid, "offset": offset}
        packets, reply = await connected(gate, url, {"token": token("ada", rights=OF_ADA), **back})
        assert reply["pid"] == pid, "recovered"
        assert any('"missed"' in each for each in packets)
        packets, reply = await connected(gate, url, {"token": token("mallory", rights=OF_ADA), **back})
        assert reply["pid"] != pid
        assert any('"invalid_session"' in each for each in packets)
        assert not any('"missed"' in each for each in packets)
        # With rights that have shrunk meanwhile, it must reload: it may have orders that it may no longer see.
        rights = {"customer_name": "Ada", "status": "delivered"}
        packets, reply = await connected(gate, url, {"token": token("ada", rights=rights), **back})
        assert reply["pid"] != pid
        assert any('"rights_changed"' in each for each in packets)
        assert not any('"missed"' in each for each in packets)
    assert await refused(gate.url, {"pid": pid, "offset": offset}) == "token_missing"


async def ticket(url: str, text: str) -> str:
    async with aiohttp.ClientSession() as session, session.post(f"{url}/api/tickets", headers=bearer(text)) as response:
        assert response.status == 201
        assert response.headers["Cache-Control"] == "no-store"
        answer = await response.json()
        assert answer["expires_in"] == 30
        return str(answer["ticket"])


async def test_a_ticket_opens_one_stream_at_any_replica_with_the_rights_of_its_token(gate: Gate) -> None:
    other = await gate.product.gateway()
    code = await ticket(gate.url, token("ada", rights=OF_ADA))
    async with sse(other.url, {"ticket": code}) as shown:
        await gate.orders.insert_many([{"_id": "ticket e", **EVE}, {"_id": "ticket a", **ADA}])
        await shown.has("orderUpdate")
        assert [each["id"] for each in shown.updates] == ["ticket a"]
    for url in (gate.url, other.url):  # used up
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{url}/api/orders/events", params={"ticket": code}) as response,
        ):
            assert response.status == 401
            assert 'error_description="ticket_invalid"' in response.headers["WWW-Authenticate"]
        assert await refused(url, {"ticket": code}) == "ticket_invalid"
        assert await refused(url, {}, f"?ticket={code}") == "ticket_invalid"
    assert code not in gate.process.output + other.output


@pytest.mark.parametrize("transport", ["websocket", "polling"])
@pytest.mark.parametrize("place", ["address", "payload"])
async def test_a_ticket_opens_a_socket(gate: Gate, transport: str, place: str) -> None:
    code = await ticket(gate.url, token("ada", rights=OF_ADA))
    address, auth = (f"{gate.url}?ticket={code}", {}) if place == "address" else (gate.url, {"ticket": code})
    async with socket(address, transport, auth) as shown:
        await gate.orders.insert_many([{**EVE}, {"_id": f"{place} {transport}", **ADA}])
        await shown.has("orderUpdate")
        assert [each["id"] for each in shown.updates] == [f"{place} {transport}"]


async def test_of_those_who_try_a_ticket_at_once_one_gets_in(gate: Gate) -> None:
    code, other = await ticket(gate.url, token(rights="*")), await gate.product.gateway()
    async with aiohttp.ClientSession() as session:
        statuses = []

        async def attempt(url: str) -> None:
            async with session.get(f"{url}/api/orders/events", params={"ticket": code}) as response:
                statuses.append(response.status)

        await asyncio.gather(*(attempt(url) for url in [gate.url, other.url] * 10))
    assert sorted(statuses) == [200, *[401] * 19]


async def test_a_ticket_is_good_for_streams_only_and_ends_with_its_token(gate: Gate) -> None:
    gateway = await gate.product.gateway(JWT_LEEWAY_SECONDS="0")
    code, late = [await ticket(gateway.url, token(seconds=SOON, rights="*")) for _ in range(2)]
    both_expired = time.time() + SOON
    async with aiohttp.ClientSession() as session:
        for method, path in (("GET", "/api/orders"), ("POST", "/api/orders"), ("POST", "/api/tickets")):
            async with session.request(method, f"{gateway.url}{path}", params={"ticket": code}) as response:
                assert response.status == 401, path
    async with sse(gateway.url, {"ticket": code}) as shown:
        assert await shown.has("ended") == {"reason": "token_expired"}
    # The other token may have been made a second later, and nothing announces that it has expired.
    await asyncio.sleep(max(0.0, both_expired - time.time()) + 0.5)
    assert await refused(gateway.url, {"ticket": late}) == "token_expired"


@pytest.mark.parametrize("code", ["", "x", "x" * 43, "../" * 10, "*", "x" * 5000, "0" * 42 + "\n"])
async def test_an_invented_ticket_is_refused(gate: Gate, code: str) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{gate.url}/api/orders/events", params={"ticket": code}) as response,
    ):
        assert response.status == 401
    assert await refused(gate.url, {"ticket": code}) == "ticket_invalid"


async def test_a_subject_gets_so_many_tickets_and_no_more(gate: Gate) -> None:
    gateway = await gate.product.gateway()
    async with aiohttp.ClientSession(headers=bearer(token("greedy"))) as session:
        for _ in range(100):
            async with session.post(f"{gateway.url}/api/tickets") as response:
                assert response.status == 201
        async with session.post(f"{gateway.url}/api/tickets") as response:
            assert response.status == 429
            assert int(response.headers["Retry-After"]) > 0
    assert await ticket(gateway.url, token("modest"))
