"""Who is revoked is out at every gateway within a second, and is let in nowhere from then on."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from services.common.documents import iso_at
from services.embedded.ports import free_port
from services.embedded.valkey import Valkey
from tests.access.conftest import Guarded, guarded_on
from tests.access.revocations import ROUTE, ask, revoke
from tests.access.test_doors import DOORS, knock
from tests.access.tokens import bearer, token
from tests.access.viewers import TRANSPORTS, Viewer, sse, viewer
from tests.servers import Servers
from tests.waiting import HANGS, until, within

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADA = {"customer_name": "Ada", "product_name": "Desk", "status": "pending"}
KINDS = ("subject", "token_id")
CHANNEL = "{orders}:revocations"


@dataclass
class Fleet:
    """A watcher and three gateways over a Valkey of their own, which tests may empty and stop."""

    product: Guarded
    urls: list[str]
    valkey: Valkey


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(session_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    async with (
        Valkey(folder=folder / "valkey", port=free_port()) as valkey,
        guarded_on(Servers(session_servers.mongodb_uri, valkey.uri()), folder) as product,
    ):
        await product.watcher()
        gateways = await asyncio.gather(*(product.gateway() for _ in range(3)))
        yield Fleet(product, [gateway.url for gateway in gateways], valkey)


def of(name: str, **more: Any) -> str:
    return token(name, rights="*", jti=f"id of {name}", **more)


def by(kind: str, name: str) -> dict[str, str]:
    return {"subject": name} if kind == "subject" else {"token_id": f"id of {name}"}


async def refuses(url: str, text: str, reason: str = "token_revoked") -> None:
    """Wait until the gateway does; it has a second."""

    async def refused() -> bool:
        async with aiohttp.ClientSession() as session, session.get(f"{url}/api/orders", headers=bearer(text)) as answer:
            return reason in answer.headers.get("WWW-Authenticate", "")

    await until(refused, f"{url} refuses", 1.0)


async def lets_in(url: str, text: str) -> bool:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/api/orders", headers=bearer(text)) as answer:
        return answer.status == 200


@pytest.mark.parametrize("kind", KINDS)
async def test_ten_connections_over_three_gateways_are_out_within_a_second(fleet: Fleet, kind: str) -> None:
    """While Redis is emptied at that very moment; a gateway that starts afterwards knows it, too."""
    name = f"ten {kind}"
    async with AsyncExitStack() as stack:
        shown: list[Viewer] = []
        for number in range(10):
            way, url = TRANSPORTS[number % 3], fleet.urls[number // 3 % 3]
            shown.append(await stack.enter_async_context(viewer(url, way, of(name))))
        bystanders = [
            await stack.enter_async_context(viewer(url, way, of(f"not {name}")))
            for url, way in zip(fleet.urls, TRANSPORTS, strict=True)
        ]
        redis = await stack.enter_async_context(Redis.from_url(fleet.valkey.uri()))
        async with within(1):
            _, answer = await asyncio.gather(redis.flushall(), revoke(fleet.urls[0], **by(kind, name)))
            for each in shown:
                assert await each.has("ended") == {"reason": "token_revoked"}
            await until(lambda: all(each.is_over for each in shown), "all are closed")
        assert iso_at(time.time() + 86_300) < answer["until"] < iso_at(time.time() + 86_500)
        await fleet.product.orders.insert_one({**ADA})
        for one in bystanders:
            await one.has("orderUpdate")
            assert "ended" not in one.names
        assert {each.names[-1] for each in shown} == {"ended"}
    for url in fleet.urls:
        await refuses(url, of(name))
    late = await fleet.product.gateway()
    assert await knock(late.url, "websocket", of(name)) == "token_revoked"
    assert await late.metric("orders_gateway_revocations") > 0
    await late.stop()


@pytest.mark.parametrize("kind", KINDS)
async def test_every_door_refuses_what_is_revoked(fleet: Fleet, kind: str) -> None:
    name, url = f"doors {kind}", fleet.urls[1]
    async with aiohttp.ClientSession(headers=bearer(of(name))) as session:
        async with session.post(f"{url}/api/tickets") as response:
            ticket = (await response.json())["ticket"]
        async with session.ws_connect(f"{url}/socket.io/?EIO=4&transport=websocket") as websocket:
            await websocket.receive_str()
            await websocket.send_str("40")
            reply, hello = [json.loads((await websocket.receive_str())[2:]) for _ in range(2)]
            back = {"token": of(name), "pid": reply["pid"], "offset": hello[2]}
    await revoke(fleet.urls[0], **by(kind, name))
    await refuses(url, of(name))
    for door in DOORS:
        assert await knock(url, door, of(name)) == "token_revoked", door
    for method in ("POST", "PUT", "DELETE"):
        assert await knock(url, "rest", of(name), method) == "token_revoked"
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/api/orders/events", params={"ticket": ticket}) as response:
            assert response.status == 401
            assert "token_revoked" in response.headers["WWW-Authenticate"]
        async with session.post(f"{url}/api/tickets", headers=bearer(of(name))) as response:
            assert response.status == 401
        async with session.ws_connect(f"{url}/socket.io/?EIO=4&transport=websocket") as websocket:
            await websocket.receive_str()
            await websocket.send_str(f"40{json.dumps(back)}")
            assert json.loads((await websocket.receive_str())[2:])["data"] == {"reason": "token_revoked"}
    if kind == "token_id":
        another = token(name, rights="*", jti="another id")
        assert await lets_in(url, another)
        async with viewer(url, "websocket", another) as shown:
            assert await shown.ask("authenticate", {"token": of(name)}) == {"error": {"reason": "token_revoked"}}
            assert not shown.is_over


async def test_a_renewed_connection_lives_by_its_new_token(fleet: Fleet) -> None:
    url = fleet.urls[0]
    first, second = (token("renews", rights="*", jti=f"{number} of renews") for number in (1, 2))
    async with viewer(url, "websocket", first) as shown:
        assert "expires_at" in await shown.ask("authenticate", {"token": second})
        await revoke(url, token_id="1 of renews")
        await refuses(url, first)
        assert await shown.ask("subscribe")
        assert "ended" not in shown.names
        async with within(1):
            await revoke(url, token_id="2 of renews")
            assert await shown.has("ended") == {"reason": "token_revoked"}


async def test_after_signing_out_everywhere_one_can_sign_in_anew(fleet: Fleet) -> None:
    now, url = int(time.time()), fleet.urls[0]
    old, new = of("back", iat=now - 60), of("back", iat=now)
    unsaid = of("back", iat=None)
    async with viewer(url, "sse", old) as one, viewer(url, "sse", new) as two, viewer(url, "sse", unsaid) as three:
        answer = await revoke(fleet.urls[1], subject="back", issued_before=iso_at(now))
        assert answer["issued_before"] == iso_at(now)
        async with within(1):
            await one.has("ended")
            await three.has("ended")
        assert not two.is_over
    await refuses(url, old)
    await refuses(url, unsaid)
    assert await lets_in(url, new)
    await revoke(url, subject="back")
    await refuses(fleet.urls[2], new)


async def test_a_lifted_revocation_refuses_nobody(fleet: Fleet) -> None:
    one, two = [await revoke(fleet.urls[0], subject="lifted") for _ in range(2)]
    assert one["id"] != two["id"]
    for each in (one, two):
        await refuses(fleet.urls[1], of("lifted"))
        status, answer = await ask(fleet.urls[2], "DELETE", f"{ROUTE}/{each['id']}")
        assert (status, answer) == (200, each)
        status, _ = await ask(fleet.urls[2], "DELETE", f"{ROUTE}/{each['id']}")
        assert status == 404
    for url in fleet.urls:
        await until(lambda url=url: lets_in(url, of("lifted")), "it is let in again", 1.0)  # type: ignore[misc]


async def test_the_list_has_all_that_apply_newest_first_page_by_page(fleet: Fleet) -> None:
    made = [await revoke(fleet.urls[0], token_id=f"listed {number}") for number in range(5)]
    await ask(fleet.urls[0], "DELETE", f"{ROUTE}/{made[2]['id']}")
    found: list[Any] = []
    path = f"{ROUTE}?limit=2"
    async with aiohttp.ClientSession(headers=bearer(token("root", "orders:admin"))) as session:
        while path:
            async with session.get(fleet.urls[1] + path) as response:
                found += await response.json()
                path = response.headers.get("Link", "").partition(">")[0].lstrip("<")
    ours = [each for each in found if each.get("token_id", "").startswith("listed")]
    assert ours == [made[4], made[3], made[1], made[0]]
    assert len({each["id"] for each in found}) == len(found)
    for query in ("limit=0", "limit=501", "limit=x", "limit=1&limit=2", "after=x", "page=2"):
        status, problem = await ask(fleet.urls[0], "GET", f"{ROUTE}?{query}")
        assert (status, problem["errors"][0]["field"]) == (422, query.partition("=")[0])


WRONG: list[tuple[Any, list[str]]] = [
    ({}, ["subject"]),
    ([], ["body"]),
    ("ada", ["body"]),
    ({"subject": "ada", "token_id": "x"}, ["token_id"]),
    ({"subject": ""}, ["subject"]),
    ({"subject": None}, ["subject"]),
    ({"subject": 5}, ["subject"]),
    ({"subject": {"$ne": ""}}, ["subject"]),
    ({"subject": "a" * 256}, ["subject"]),
    ({"subject": "a\nb"}, ["subject"]),
    ({"subject": "\ud800"}, ["subject"]),
    ({"token_id": ["x"]}, ["token_id"]),
    ({"token_id": ""}, ["token_id"]),
    ({"token_id": "x", "issued_before": "2026-01-01T00:00:00Z"}, ["issued_before"]),
    ({"subject": "ada", "issued_before": "soon"}, ["issued_before"]),
    ({"subject": "ada", "issued_before": 5}, ["issued_before"]),
    ({"subject": "ada", "issued_before": None}, ["issued_before"]),
    ({"subject": "ada", "issued_before": "2026-01-01T00:00:00"}, ["issued_before"]),
    ({"subject": "ada", "issued_before": "2026-01-01"}, ["issued_before"]),
    ({"subject": "ada", "issued_before": "9999-12-31T23:59:59-23:00"}, ["issued_before"]),
    ({"subject": "ada", "until": "x", "id": "y"}, ["until", "id"]),
]


@pytest.mark.parametrize(("body", "fields"), WRONG, ids=lambda each: str(each)[:40])
async def test_wrong_input_is_refused_by_field_and_nothing_is_written(fleet: Fleet, body: Any, fields: Any) -> None:
    revocations = fleet.product.orders.database["revocations"]
    before = await revocations.count_documents({})
    status, problem = await ask(fleet.urls[0], json=body)
    assert status == 422
    assert [error["field"] for error in problem["errors"]] == fields
    assert await revocations.count_documents({}) == before


async def test_bodies_of_other_kinds_are_refused(fleet: Fleet) -> None:
    json_type = {**bearer(token("root", "orders:admin")), "Content-Type": "application/json"}
    for status, more in (
        (413, {"data": b'{"subject":"' + b"x" * 70_000 + b'"}'}),
        (400, {"data": b"{"}),
        (400, {"data": b"[" * 4000}),
        (422, {"data": b'{"subject":"a","subject":"b"}'}),
        (415, {"data": b"subject=ada", "headers": {**json_type, "Content-Type": "text/plain"}}),
    ):
        found, _ = await ask(fleet.urls[0], **{"headers": json_type, **more})  # type: ignore[arg-type]
        assert found == status
    for name in ("x", "0" * 24, "0" * 23, "%00", "..%2f" * 20):
        assert (await ask(fleet.urls[0], "DELETE", f"{ROUTE}/{name}"))[0] == 404


@pytest.mark.parametrize(("method", "path"), [("GET", ROUTE), ("POST", ROUTE), ("DELETE", f"{ROUTE}/{'0' * 24}")])
async def test_only_the_scope_for_operators_may(fleet: Fleet, method: str, path: str) -> None:
    """Also no ticket, and nothing is told of what is there."""
    more = {"json": {"subject": "victim"}} if method == "POST" else {}
    for text in (token("eve", "orders:read orders:write"), token("eve", "")):
        status, problem = await ask(fleet.urls[0], method, path, headers=bearer(text), **more)
        assert (status, problem["type"]) == (403, "urn:realtime-orders:problem:scope-missing")
    for headers in ({}, bearer("hostile"), bearer(token("eve", "orders:admin", -60))):
        assert (await ask(fleet.urls[0], method, path, headers=headers, **more))[0] == 401
    assert await lets_in(fleet.urls[0], of("victim"))
    revoked = token("former root", "orders:admin", jti="former root")
    await revoke(fleet.urls[0], token_id="former root")
    assert (await ask(fleet.urls[0], method, path, headers=bearer(revoked), **more))[0] == 401


async def test_without_tokens_there_is_no_such_address(fleet: Fleet) -> None:
    gateway = await fleet.product.gateway(AUTH="none", JWT_SECRET="", JWT_ISSUER="", JWT_AUDIENCE="")
    for method, path in (("GET", ROUTE), ("POST", ROUTE), ("DELETE", f"{ROUTE}/{'0' * 24}")):
        assert (await ask(gateway.url, method, path))[0] == 404
    await gateway.stop()


async def test_forged_messages_in_redis_revoke_nobody_and_lift_nothing(fleet: Fleet) -> None:
    await revoke(fleet.urls[0], subject="stays out")
    await refuses(fleet.urls[1], of("stays out"))
    async with Redis.from_url(fleet.valkey.uri()) as redis, viewer(fleet.urls[1], "websocket", of("stays in")) as shown:
        for forged in ("", '{"subject": "stays in"}', '{"lifted": "stays out"}', "x" * 1_000_000, b"\xff\0"):
            for _ in range(100):
                assert await redis.publish(CHANNEL, forged) >= 3
        await redis.set(CHANNEL, "forged")
        await refuses(fleet.urls[1], of("stays out"))
        assert await lets_in(fleet.urls[1], of("stays in"))
        async with redis.pubsub() as heard:
            await heard.subscribe(CHANNEL)
            await revoke(fleet.urls[0], subject="another")
            while (message := await heard.get_message(timeout=HANGS)) is not None and message["type"] != "message":
                pass
            assert message is not None, "the others are told over Redis, and need not wait for their next look"
            assert message["data"] == b"", "it says nothing that could be forged"
        await refuses(fleet.urls[1], of("another"))
        assert not shown.is_over


async def test_while_redis_is_away_gateways_learn_of_it_from_mongodb(fleet: Fleet) -> None:
    async with viewer(fleet.urls[1], "websocket", of("unheard")) as one, viewer(fleet.urls[2], "sse", of("unheard")):
        await fleet.valkey.stop()
        await revoke(fleet.urls[0], subject="unheard")
        async with within(1):
            assert await one.has("ended") == {"reason": "token_revoked"}
        for url in fleet.urls:
            await refuses(url, of("unheard"))
        await fleet.valkey.start()
    async with viewer(fleet.urls[1], "websocket", of("heard")) as other, within(1):
        await revoke(fleet.urls[0], subject="heard")
        await other.has("ended")


async def test_a_client_that_is_being_replayed_is_cut_too(fleet: Fleet) -> None:
    """It is far behind, in the oplog, and is revoked before it has been sent the half."""
    async with sse(fleet.urls[0], headers=bearer(of("first"))) as shown:
        since = (await shown.has("connected"))["cursor"]
    many = 4_000
    await fleet.product.orders.insert_many([{**ADA, "note": "x" * 2_000} for _ in range(many)])
    late = await fleet.product.gateway(RING_EVENTS="10")
    async with Redis.from_url(fleet.valkey.uri()) as redis:
        await redis.flushall()
    async with viewer(late.url, "websocket", of("replayed"), since=since) as shown:
        await revoke(late.url, subject="replayed")
        async with within(5):
            await shown.has("ended")
        assert len(shown.updates) < many
        told = len(shown.told)
        await until(lambda: shown.is_over, "it is closed")
        assert len(shown.told) == told
    await late.stop()
