"""Fields that no client may see: on no path, by no filter, and not in what was recorded under another setting."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import socketio
from redis.asyncio import Redis

from services.common.cursor import Cursor, Position
from services.gateway.filters import Filter, to_text
from tests.access.conftest import Guarded, guarded_on
from tests.access.tokens import SETTINGS, bearer, token
from tests.access.viewers import TRANSPORTS, Viewer, here, viewer
from tests.log_entries import KEYS, entries
from tests.running_product import Orders
from tests.servers import Servers
from tests.service_process import ServiceProcess
from tests.waiting import HANGS, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHOWN = {"VISIBLE_FIELDS": "product_name, size"}
SOURCES = ("live", "ring", "log", "oplog")
SECRET = "4111 1111 1111 1111"
HIDDEN = {"status": "pending", "card": SECRET, "customer": {"card": [SECRET]}, "updated_at": SECRET, SECRET: 1}
ADA = {"customer_name": "Ada", "product_name": "Lamp", **HIDDEN}
EVE = {"customer_name": "Eve", "product_name": "Desk", **HIDDEN}
LARGE = "x" * 300_000
ALL, OF_ADA = token("all", rights="*"), token("ada", rights={"customer_name": "Ada"})
READERS = {"all": ALL, "ada": OF_ADA}

# What is written, and how it is shown to who may see all orders, and to who may see Ada's; None: it is not shown.
Step = tuple[str, tuple[Any, ...], Any, Any]
STEPS: list[Step] = [
    ("insert_one", ({"_id": "a", **ADA},), ("INSERT", "Lamp"), ("INSERT", "Lamp")),
    ("insert_one", ({"_id": "e", **EVE},), ("INSERT", "Desk"), None),
    ("update_one", ({"_id": "a"}, {"$set": {"product_name": "Rug"}}), ("UPDATE", "Rug"), ("UPDATE", "Rug")),
    # Nothing that is visible has changed: told all the same, with the same data.
    ("update_one", ({"_id": "a"}, {"$set": {"card": f"{SECRET} 2"}}), ("UPDATE", "Rug"), ("UPDATE", "Rug")),
    ("update_one", ({"_id": "e"}, {"$set": {"status": "shipped"}}), ("UPDATE", "Desk"), None),
    # Rights on a field that is not visible hold.
    ("update_one", ({"_id": "e"}, {"$set": {"customer_name": "Ada"}}), ("UPDATE", "Desk"), ("UPDATE", "Desk")),
    ("update_one", ({"_id": "e"}, {"$set": {"customer_name": "Eve"}}), ("UPDATE", "Desk"), ("LEFT", None)),
    ("replace_one", ({"_id": "a"}, {**ADA, "product_name": "Mat"}), ("UPDATE", "Mat"), ("UPDATE", "Mat")),
    # Too large with what is visible: without data. Too large only with what is not: with data.
    ("insert_one", ({"_id": "v", **ADA, "size": LARGE},), ("INSERT", None), ("INSERT", None)),
    ("insert_one", ({"_id": "h", **ADA, "card": SECRET + LARGE},), ("INSERT", "Lamp"), ("INSERT", "Lamp")),
    ("delete_one", ({"_id": "v"},), ("DELETE", None), ("DELETE", None)),
    ("delete_one", ({"_id": "h"},), ("DELETE", "Lamp"), ("DELETE", "Lamp")),
    ("delete_one", ({"_id": "e"},), ("DELETE", "Desk"), None),
    ("insert_one", ({"_id": "last", **ADA},), ("INSERT", "Lamp"), ("INSERT", "Lamp")),
]


def as_shown(envelope: dict[str, Any]) -> tuple[str, Any]:
    operation = "LEFT" if envelope.get("left") else envelope["operation"]
    data = envelope["data"]
    if data is None:
        return operation, None
    assert data.keys() <= {"_id", "product_name", "size"}
    assert data["_id"] == envelope["id"]
    return operation, data["product_name"]


@dataclass
class Stack:
    """Two readers over each transport from each source, and a gateway to ask."""

    guarded: Guarded
    gateway: ServiceProcess
    viewers: dict[tuple[str, str, str], Viewer]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(session_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with guarded_on(session_servers, tmp_path_factory.mktemp("fields")) as guarded, AsyncExitStack() as clients:
        await guarded.watcher(REPLAY_WINDOW_SECONDS="0", **SHOWN)
        gateway = await guarded.gateway(**SHOWN)
        found = Stack(guarded, gateway, {})

        async def join(gateway: ServiceProcess, source: str, since: Mapping[str, str]) -> None:
            for (who, text), transport in product(READERS.items(), TRANSPORTS):
                joining = viewer(gateway.url, transport, text, since=since.get(who))
                shown = found.viewers[who, transport, source] = await clients.enter_async_context(joining)
                await until(partial(is_complete, shown), f"{who} {transport} {source}") if since else None
            if since:
                sample = f'orders_gateway_resumes_total{{source="{source}"}}'
                assert await gateway.metric(sample) == len(READERS) * len(TRANSPORTS)

        await join(gateway, "live", {})
        since = {who: await here(gateway.url, text) for who, text in READERS.items()}
        for method, args, _, _ in STEPS:
            await getattr(guarded.orders, method)(*args)
        for shown in found.viewers.values():
            await until(partial(is_complete, shown), "live")
        await join(gateway, "ring", since)
        await join(await guarded.gateway(RING_EVENTS="10", **SHOWN), "log", since)
        async with Redis.from_url(guarded.redis_url) as redis:
            recorded = await entries(redis)
            assert len(recorded) == len(STEPS)
            assert SECRET not in str([entry.envelope for entry in recorded])
            last = Cursor.parse(found.viewers["all", "sse", "live"].updates[-1]["cursor"]).position
            await until(partial(is_checkpoint, guarded.orders, last), "the watcher has saved where it is")
            await redis.delete(KEYS.log, KEYS.head)  # rebuilt from there, the last change, on
            await until(lambda: redis.exists(KEYS.head), "the log is rebuilt")
        await join(await guarded.gateway(RING_EVENTS="10", **SHOWN), "oplog", since)
        yield found


async def is_checkpoint(orders: Orders, position: Position) -> bool:
    saved = await orders.database["stream_state"].find_one({"_id": "orders"}) or {}
    return str(saved.get("position")) == str(position)


def is_complete(shown: Viewer) -> bool:
    return bool(shown.updates) and shown.updates[-1]["id"] == "last"


@pytest.mark.parametrize("who", READERS)
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("source", SOURCES)
async def test_a_stream_shows_the_visible_fields_only(stack: Stack, source: str, transport: str, who: str) -> None:
    shown = stack.viewers[who, transport, source]
    assert SECRET not in json.dumps(shown.told)
    wanted = [step[2 if who == "all" else 3] for step in STEPS]
    assert [as_shown(each) for each in shown.updates] == [each for each in wanted if each is not None]
    assert set(shown.names) <= {"connected", "orderUpdate", "mark"}


async def call(stack: Stack, method: str, path: str, text: str = ALL, body: Any = None) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"{stack.gateway.url}{path}", headers=bearer(text), json=body) as response,
    ):
        answer = await response.text()
        assert SECRET not in answer + str(response.headers)
        return response.status, json.loads(answer)


async def test_an_answer_to_a_request_has_the_visible_fields_only(stack: Stack) -> None:
    await stack.guarded.orders.insert_many([{"_id": "b", **ADA}, {"_id": "f", **EVE}])
    for text, ids in ((ALL, ["last", "f", "b", "a"]), (OF_ADA, ["last", "b", "a"])):
        status, orders = await call(stack, "GET", "/api/orders", text)
        assert (status, [each["_id"] for each in orders]) == (200, ids)
        assert all(each.keys() == {"_id", "product_name"} for each in orders)
    assert await call(stack, "GET", "/api/orders/b") == (200, {"_id": "b", "product_name": "Lamp"})
    assert (await call(stack, "GET", "/api/orders/f", OF_ADA))[0] == 404
    new = {"customer_name": "Ada", "product_name": "Cup", "status": "shipped"}
    status, order = await call(stack, "POST", "/api/orders", OF_ADA, new)
    assert (status, order["product_name"], len(order)) == (201, "Cup", 2)
    assert (await call(stack, "POST", "/api/orders", OF_ADA, {**new, "customer_name": "Eve"}))[0] == 403
    # What may not be seen may be written, as far as the rights go.
    expected = {"_id": "b", "product_name": "Lamp"}
    assert await call(stack, "PUT", "/api/orders/b", OF_ADA, {"status": "delivered"}) == (200, expected)
    assert (await stack.guarded.orders.find_one({"_id": "b"}) or {})["status"] == "delivered"
    assert (await call(stack, "PUT", "/api/orders/b", OF_ADA, {"customer_name": "Eve"}))[0] == 403
    assert await call(stack, "DELETE", "/api/orders/b", OF_ADA) == (200, expected)


async def test_a_rule_of_the_collection_names_the_visible_fields_only(stack: Stack) -> None:
    orders = stack.guarded.orders
    await orders.insert_many([{"_id": "p", **ADA, "shelf": 1}, {"_id": "q", **ADA, "shelf": 1}])
    schema = {"properties": {"product_name": {"maxLength": 5}, "card": {"maxLength": 5}}}
    update = {"operation": "UPDATE", "id": "q", "order": {"product_name": "Carpet"}}

    async def told() -> list[tuple[int, list[str], bool]]:
        """Return for one write and for a batch: the status, the named fields, and whether a hidden one is in it."""
        answers = [
            await call(stack, "PATCH", "/api/orders/q", body=update["order"]),
            await call(stack, "POST", "/api/orders:batch", body={"operations": [update]}),
        ]
        return [
            (status, [each["field"] for each in body["errors"]], "card" in str(body) or "shelf" in str(body))
            for status, body in answers
        ]

    strict: dict[str, Any] = {"validationLevel": "strict", "validationAction": "error"}
    await orders.database.command("collMod", orders.name, validator={"$jsonSchema": schema}, **strict)
    assert await told() == [(422, ["product_name"], False)] * 2
    await orders.database.command("collMod", orders.name, validator={})
    await orders.update_one({"_id": "p"}, {"$set": {"product_name": "Carpet"}})
    some: dict[str, Any] = {"partialFilterExpression": {"shelf": {"$exists": True}}}
    name = await orders.create_index(["shelf", "product_name"], unique=True, **some)
    assert await told() == [(409, ["product_name"], False)] * 2
    await orders.drop_index(name)
    await orders.delete_many({"_id": {"$in": ["p", "q"]}})


async def test_a_large_order_is_read_without_what_is_hidden_in_it(stack: Stack) -> None:
    """It is decoded in a thread, and a list of several such ones in pieces."""
    large = [{"_id": f"large {n}", **ADA, "card": [SECRET, LARGE]} for n in range(3)]
    await stack.guarded.orders.insert_many(large)
    expected = [{"_id": f"large {n}", "product_name": "Lamp"} for n in (2, 1, 0)]
    query = "&".join(f"id=large%20{n}" for n in range(3))
    assert await call(stack, "GET", f"/api/orders?{query}") == (200, expected)
    assert await call(stack, "GET", "/api/orders/large%201") == (200, expected[1])
    assert (await call(stack, "DELETE", "/api/orders/large%201"))[1] == expected[1]


HIDDEN_FILTERS = [("status", "pending"), ("customer_name", "Ada")]
MESSAGE = "is not shown to clients, so they cannot filter by it"


@pytest.mark.parametrize(("field", "value"), HIDDEN_FILTERS)
@pytest.mark.parametrize("path", ["/api/orders", "/api/orders/events"])
async def test_nobody_filters_a_request_by_what_is_hidden(stack: Stack, path: str, field: str, value: str) -> None:
    for query in (f"{field}={value}", f"id=a&{field}={value}&{field}={value}"):
        status, problem = await call(stack, "GET", f"{path}?{query}")
        assert (status, problem["type"].rpartition(":")[2]) == (422, "invalid-input")
        assert problem["errors"] == [{"in": "query", "field": field, "message": MESSAGE}]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("sort=customer_name", "sort"),
        ("sort=-status", "sort"),
        ("sort=updated_at", "sort"),
        ("q=Ada", "q"),
        ("updated_since=2026-01-01T00:00:00Z", "updated_since"),
        ("id=a&status=pending", "status"),
    ],
)
@pytest.mark.parametrize("media", ["application/json", "text/csv", "application/x-ndjson"])
async def test_no_list_tells_of_what_is_hidden_by_its_order_or_length(
    stack: Stack, media: str, query: str, parameter: str
) -> None:
    headers = {**bearer(ALL), "Accept": media}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{stack.gateway.url}/api/orders?{query}", headers=headers) as response,
    ):
        problem = json.loads(await response.text())
    assert response.status == 422
    assert problem["errors"] == [{"in": "query", "field": parameter, "message": MESSAGE}]


@pytest.mark.parametrize("media", ["text/csv", "application/x-ndjson"])
@pytest.mark.parametrize("fields", ["", "fields=card,customer_name,product_name", "fields=-size"])
async def test_an_export_has_the_visible_fields_only(stack: Stack, media: str, fields: str) -> None:
    await stack.guarded.orders.insert_one({"_id": "exported", **ADA})
    headers = {**bearer(ALL), "Accept": media}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{stack.gateway.url}/api/orders?{fields}", headers=headers) as response,
    ):
        text = await response.text()
    await stack.guarded.orders.delete_one({"_id": "exported"})
    assert response.status == 200
    assert "exported" in text
    assert "Lamp" in text
    for hidden in (SECRET, "Ada", "pending"):  # a column of CSV may be named, and is empty
        assert hidden not in text


async def test_a_version_tells_nothing_of_what_is_hidden(stack: Stack) -> None:
    orders = stack.guarded.orders
    await orders.insert_one({"_id": "versioned", **ADA})
    address = f"{stack.gateway.url}/api/orders/versioned"
    async with aiohttp.ClientSession(headers=bearer(ALL)) as session:
        async with session.get(address) as response:
            tag = response.headers["ETag"]
        await orders.update_one({"_id": "versioned"}, {"$set": {"card": "another", "status": "delivered"}})
        async with session.get(address, headers={"If-None-Match": tag}) as response:
            assert response.status == 304
        async with session.patch(address, json={"product_name": "Rug"}, headers={"If-Match": tag}) as response:
            assert response.status == 200
            assert response.headers["ETag"] != tag
    await orders.delete_one({"_id": "versioned"})


@pytest.mark.parametrize(("field", "value"), HIDDEN_FILTERS)
async def test_nobody_filters_a_socket_by_what_is_hidden(stack: Stack, field: str, value: str) -> None:
    url, refusal = stack.gateway.url, {"field": field, "message": MESSAGE}
    async with viewer(url, "websocket", ALL) as shown:
        for wanted in ({field: value}, {"ids": ["a"], field: [value]}):
            assert await shown.ask("subscribe", wanted) == {"error": refusal}
        assert "cursor" in await shown.ask("subscribe", {"ids": ["a"]})
        assert await shown.ask("subscribe", {field: value}) == {"error": refusal}
        cursor = shown.named("connected")[0]["cursor"]
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}/socket.io/?EIO=4&transport=websocket") as ws,
    ):
        await ws.receive_str()
        await ws.send_str(f"40{json.dumps({'token': ALL})}")
        pid = json.loads((await ws.receive_str())[2:])["pid"]
    # The offset of a recovering client has its filters, and nothing keeps a client from writing others into it.
    made_up = f"{cursor}~{to_text(frozenset({Filter(**{field: (value,)})}))}"
    for auth in ({"filter": {field: value}}, {"pid": pid, "offset": made_up}):
        assert await refused(url, {"token": ALL, **auth}) == {"message": "invalid filter", "data": refusal}


async def refused(url: str, auth: dict[str, Any]) -> Any:
    client = socketio.AsyncClient(reconnection=False)
    refusals: list[Any] = []
    client.on("connect_error", refusals.append)
    try:
        with pytest.raises(socketio.exceptions.ConnectionError):
            await client.connect(url, auth=auth, transports=["websocket"], wait_timeout=HANGS)
    finally:
        await client.disconnect()
    return refusals[0]


async def test_what_was_recorded_under_another_setting_is_not_shown(session_servers: Servers, tmp_path: Path) -> None:
    """Neither by a gateway that starts before the watcher does, nor to a client that resumes."""
    async with guarded_on(session_servers, tmp_path) as guarded, Redis.from_url(guarded.redis_url) as redis:
        watcher, before = await guarded.watcher(), await guarded.gateway()
        async with viewer(before.url, "sse", ALL) as shown:
            since = shown.named("connected")[0]["cursor"]
            await guarded.orders.insert_one({"_id": "a", **ADA})
            assert (await shown.has("orderUpdate"))["data"]["card"] == SECRET
        gateway = await guarded.launch("gateway", **SETTINGS, **SHOWN)
        await until(lambda: "VISIBLE_FIELDS must be the same" in gateway.output, "it is said why there is no stream")
        await until(lambda: gateway.status("/readyz/stream"), "it listens")
        assert await gateway.status("/readyz/stream") == 503
        await watcher.stop()
        await guarded.watcher(**SHOWN)
        await until(gateway.answers, "the gateway follows the stream")
        assert await entries(redis) == []
        await guarded.orders.update_one({"_id": "a"}, {"$set": {"product_name": "Rug"}})
        for transport in TRANSPORTS:
            async with viewer(gateway.url, transport, ALL, since=since) as shown:
                assert (await shown.has("resync"))["reason"] == "fields_changed"
                await guarded.orders.update_one({"_id": "a"}, {"$set": {"product_name": transport}})
                # The change before this one may still have been on its way.
                last = {"_id": "a", "product_name": transport}
                await until(lambda: [each["data"] for each in shown.updates][-1:] == [last], "the last change")  # noqa: B023
                assert all(each["data"].keys() == last.keys() for each in shown.updates)
                assert SECRET not in json.dumps(shown.told)
        # A gateway that still has the old setting shows nothing that was made under the new one.
        await until(lambda: "VISIBLE_FIELDS must be the same" in before.output, "the other says so, too")
        async with viewer(before.url, "sse", ALL, since=since) as shown:
            assert [each["id"] for each in [await shown.has("orderUpdate")]] == ["a"]
            assert len(shown.updates) == 1
