"""Lists over HTTP: sort, search, links, counts, chosen fields, and exports that are whole or visibly broken."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from aiohttp import ClientError, ClientResponse
from yarl import URL

from services.commands.setup_db import setup
from services.gateway import list_source
from services.gateway.http import export
from tests.integration.cursors import open_cursors
from tests.integration.rest_api import Api, serve_orders
from tests.waiting import until

START = datetime(2026, 1, 1, tzinfo=UTC)
STATUSES = ("pending", "shipped", "delivered")
ORDERS: list[dict[str, Any]] = [
    {
        "_id": f"order {number:02}",
        "customer_name": ("Ada", "Bob", "Böb", "ada")[number % 4],
        "product_name": ("Lamp", "Desk", "Lamp shade")[number % 3],
        "status": STATUSES[number % 3],
        "updated_at": START + timedelta(hours=number // 2),
        "note": {"a": number},
    }
    for number in range(20)
]


@pytest.fixture
async def api(mongodb_uri: str) -> AsyncIterator[Api]:
    await asyncio.to_thread(lambda: list(setup(mongodb_uri)))
    async with serve_orders(mongodb_uri) as api:
        await api.orders.insert_many(ORDERS)
        yield api


async def ids(api: Api, query: str) -> list[str]:
    reply = await api.client.get(f"/api/orders?{query}")
    assert reply.status == 200, await reply.text()
    return [order["_id"] for order in await reply.json()]


def link(reply: ClientResponse, rel: str) -> str | None:
    found = reply.links.get(rel)
    return str(URL(str(found["url"])).relative()) if found else None


async def test_links_lead_forward_back_and_to_the_first(api: Api) -> None:
    address: str | None = "/api/orders?sort=-updated_at&limit=6"
    pages, replies = [], []
    while address is not None:
        replies.append(await api.client.get(address))
        pages.append([order["_id"] for order in await replies[-1].json()])
        address = link(replies[-1], "next")
    assert [order for page in pages for order in page] == [f"order {number:02}" for number in range(19, -1, -1)]
    assert [link(reply, "prev") is not None for reply in replies] == [False, True, True, True]
    for number in (2, 1, 0):
        back = await api.client.get(link(replies[number + 1], "prev") or "")
        assert [order["_id"] for order in await back.json()] == pages[number]
        assert (link(back, "prev") is None) == (number == 0)
        again = await api.client.get(link(back, "next") or "")
        assert [order["_id"] for order in await again.json()] == pages[number + 1]
    first = await api.client.get(link(replies[3], "first") or "")
    assert [order["_id"] for order in await first.json()] == pages[0]


async def test_a_search_finds_by_the_beginning_of_id_customer_and_product(api: Api) -> None:
    async def found(text: str) -> set[str]:
        return {order["_id"] for order in ORDERS if any(str(order[name]).startswith(text) for name in NAMES)}

    NAMES = ("_id", "customer_name", "product_name")  # noqa: N806 - of this test
    for text in ("Ada", "A", "B", "Bö", "Lamp", "Lamp s", "order 1", "order 07", "nothing", "%", "$", "^A"):
        shown = await ids(api, f"q={URL.build(query={'q': text}).raw_query_string[2:]}&limit=500")
        assert sorted(shown) == sorted(await found(text)), text
    shown, address = [], "/api/orders?limit=3&q=A"
    await api.orders.insert_one({"_id": "A 1", "customer_name": "Ada", "product_name": "Anvil"})
    while address:
        reply = await api.client.get(address)
        shown += [order["_id"] for order in await reply.json()]
        address = link(reply, "next") or ""
    assert shown == ["A 1", *(f"order {number:02}" for number in range(0, 20, 4))]
    for last in ("\U0010ffff", "a\U0010ffff", "\ud7ff"):
        await api.orders.insert_one({"_id": f"of {last}", "customer_name": f"{last} x"})
        reply = await api.client.get("/api/orders", params={"q": last})
        assert [order["_id"] for order in await reply.json()] == [f"of {last}"]
    made = await (await api.client.post("/api/orders", json={"customer_name": "Zed", "product_name": "Pen"})).json()
    for text in (made["_id"], made["_id"][:9], made["_id"][:9].upper()):
        assert await ids(api, f"q={text}") == [made["_id"]]
    assert await ids(api, "q=Lamp&customer_name=Ada") == ["order 00", "order 12", "order 08"]


async def test_a_list_since_a_time_has_the_later_changes(api: Api) -> None:
    assert await ids(api, "updated_since=2026-01-01T09:00:00Z") == ["order 19", "order 18"]
    assert await ids(api, "updated_since=2026-01-01T10:00:00%2B01:00&sort=updated_at&limit=2") == [
        "order 18",
        "order 19",
    ]
    assert await ids(api, "updated_since=2026-01-01T08:59:59.9999Z&status=pending") == ["order 18"]
    assert await ids(api, "updated_since=2026-01-01T09:00:00.0001Z") == []


async def test_a_count_is_exact_and_bounded(api: Api) -> None:
    async def count(query: str) -> str:
        return (await api.client.get(f"/api/orders?limit=1&count=true{query}")).headers["Total-Count"]

    assert await count("") == "20"
    assert await count("&status=pending") == "7"
    assert await count("&status=pending&status=shipped&customer_name=Ada") == "4"
    assert await count("&q=Lamp") == "13"
    assert await count("&q=nothing") == "0"
    assert await count("&sort=product_name&customer_name=Bob") == "5"
    assert await count("&updated_since=2026-01-01T09:00:00Z") == "2"
    assert "Total-Count" not in (await api.client.get("/api/orders?count=false")).headers
    await api.orders.insert_many([{"status": ["pending"]} for _ in range(4_980)])
    assert await count("") == "5000"
    await api.orders.insert_one({"status": "pending"})
    assert await count("") == ">5000"
    assert await count("&status=pending") == "8"


async def test_fields_can_be_chosen_and_left_out(api: Api) -> None:
    chosen = await (await api.client.get("/api/orders?fields=note,status,nothing&id=order+07")).json()
    assert chosen == [{"_id": "order 07", "status": "shipped", "note": {"a": 7}}]
    [left] = await (await api.client.get("/api/orders?fields=-note,-customer_name&customer_name=Ada&limit=1")).json()
    assert left.keys() == {"_id", "product_name", "status", "updated_at"}
    reply = await api.client.get("/api/orders?fields=note&sort=updated_at&limit=3&status=pending")
    assert [order.keys() for order in await reply.json()] == [{"_id", "note"}] * 3
    assert link(reply, "next") is not None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("sort=price", "sort"),
        ("sort=", "sort"),
        ("sort=--status", "sort"),
        ("sort=status&sort=_id", "sort"),
        ("q=", "q"),
        ("q=" + "x" * 201, "q"),
        ("q=a&sort=status", "sort"),
        ("q=a&status=pending", "q"),
        ("q=a&id=a", "q"),
        ("q=a&updated_since=2026-01-01T00:00:00Z", "updated_since"),
        ("updated_since=2026-01-01", "updated_since"),
        ("updated_since=2026-01-01T00:00:00", "updated_since"),
        ("updated_since=2026-13-01T00:00:00Z", "updated_since"),
        ("updated_since=0001-01-01T00:00:00%2B10:00", "updated_since"),
        ("updated_since=2026-01-01T00:00:00Z&sort=status", "sort"),
        ("updated_since=2026-01-01T00:00:00Z&status=pending&customer_name=a", "updated_since"),
        ("sort=product_name&status=pending", "sort"),
        ("sort=status&customer_name=Ada", "sort"),
        ("sort=status&id=a", "sort"),
        ("count=yes", "count"),
        ("fields=", "fields"),
        ("fields=a,-b", "fields"),
        ("fields=a.b", "fields"),
        ("fields=$a", "fields"),
        ("fields=-_id", "fields"),
        ("fields=" + ",".join("a" * 51), "fields"),
        ("after=a&before=b", "before"),
        ("after=a&sort=status", "after"),
        ("after=~~kAAAA", "after"),
        ("before=~~kFQAAAAJzAAIAAABhAAA&sort=status", "before"),
    ],
)
async def test_what_is_not_offered_is_refused_by_its_parameter(api: Api, query: str, field: str) -> None:
    reply = await api.client.get(f"/api/orders?{query}")
    problem = await reply.json(content_type="application/problem+json")
    assert (reply.status, [error["field"] for error in problem["errors"]]) == (422, [field])


async def test_a_mark_belongs_to_its_list(api: Api) -> None:
    mark = URL(link(await api.client.get("/api/orders?sort=status&limit=2"), "next") or "").query["after"]
    for query in ("sort=-status", "sort=_id", "q=a", "", "sort=updated_at"):
        reply = await api.client.get("/api/orders", params={**dict(URL(f"?{query}").query), "after": mark})
        assert reply.status == 422, query


async def test_a_search_under_a_collation_is_refused(mongodb_uri: str) -> None:
    async with serve_orders(mongodb_uri) as api:
        await api.orders.database.create_collection("orders", collation={"locale": "en", "strength": 1})
        reply = await api.client.get("/api/orders?q=a")
        assert reply.status == 422
        assert "collation" in await reply.text()


async def test_head_says_what_get_would_without_reading_the_orders(api: Api) -> None:
    await api.orders.insert_many([{"_id": f"large {number}", "filler": "x" * 1_000_000} for number in range(15)])
    for query in ("limit=15&sort=_id&count=true", "sort=-status&limit=5", ""):
        head = await api.client.head(f"/api/orders?{query}")
        get = await api.client.get(f"/api/orders?{query}")
        assert (head.status, await head.read()) == (200, b"")
        assert head.headers.get("Link") == get.headers.get("Link")
        assert head.headers.get("Total-Count") == get.headers.get("Total-Count")
        assert head.headers.get("Content-Length") in (None, get.headers.get("Content-Length"))
        await get.read()


async def test_the_format_is_the_one_that_is_accepted(api: Api) -> None:
    for accept, media in (
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("text/html, application/xhtml+xml, */*;q=0.8", "application/json"),
        ("text/csv, application/json;q=0.5", "text/csv"),
        ("text/*", "text/csv"),
        ("application/json;q=0, */*", "application/x-ndjson"),
        ("Application/X-NDJSON", "application/x-ndjson"),
    ):
        reply = await api.client.get("/api/orders", headers={"Accept": accept})
        assert (reply.status, reply.content_type) == (200, media), accept
        assert reply.headers["Vary"] == "Accept, Accept-Encoding"
        await reply.read()
    assert (await api.client.get("/api/orders", headers={"Accept": "text/html"})).status == 406


async def test_an_export_has_all_orders_at_one_moment(api: Api) -> None:
    await api.orders.insert_many([{"_id": f"more {number:04}", "status": "pending"} for number in range(1_000)])
    await api.orders.insert_one({"_id": "strange", "updated_at": [5]})
    reply = await api.client.get("/api/orders?sort=updated_at", headers={"Accept": "application/x-ndjson"})
    await api.orders.delete_many({"_id": {"$gt": "more 0500", "$lt": "n"}})
    orders = [json.loads(line) for line in (await reply.text()).splitlines()]
    assert [order["_id"] for order in orders[1000:]] == [*(order["_id"] for order in ORDERS), "strange"]
    assert len(orders) == 1021
    assert "Stream-Cursor" in reply.headers
    assert (reply.headers["Content-Type"], "Content-Length" in reply.headers) == ("application/x-ndjson", False)
    limited = await api.client.get("/api/orders?limit=3&after=order+07", headers={"Accept": "application/x-ndjson"})
    assert len((await limited.text()).splitlines()) == 3
    for query, field in (("before=a", "before"), ("count=true", "count"), ("sort=x", "sort")):
        refused = await api.client.get(f"/api/orders?{query}", headers={"Accept": "text/csv"})
        assert refused.status == 422, field
    head = await api.client.head("/api/orders", headers={"Accept": "text/csv"})
    assert (head.status, head.content_type, await head.read()) == (200, "text/csv", b"")
    await until(partial(_is_closed, api), "the cursors of the exports are closed")


async def _is_closed(api: Api) -> bool:
    return await open_cursors(api.orders.database, "orders") == 0


async def test_csv_is_readable_and_no_formula(api: Api) -> None:
    texts = ["=1+1", "+1", "-1", "@a", "\tx", 'a "b", c', "line\nbreak", "ünï", "\uff1dx"]
    await api.orders.delete_many({})
    await api.orders.insert_many([{"_id": f"{n}", "customer_name": text, "n": -n} for n, text in enumerate(texts)])
    await api.orders.insert_one({"_id": "x", "customer_name": ["=1"], "status": None, "n": True})
    query = "/api/orders?sort=_id&fields=customer_name,n"
    reply = await api.client.get(query, headers={"Accept": "text/csv"})
    body = (await reply.read()).decode()
    assert body.count("\r\n") == 11
    header, *rows = csv.reader(io.StringIO(body, newline=""))
    assert header == ["_id", "customer_name", "n"]
    assert [row[1].removeprefix("'") for row in rows[:-1]] == texts
    assert [row[1][0] == "'" for row in rows[:-1]] == [True] * 5 + [False] * 3 + [True]
    assert [row[2] for row in rows[:3]] == ["0", "-1", "-2"]
    assert rows[-1] == ["x", '["=1"]', "true"]
    usual = (await (await api.client.get("/api/orders", headers={"Accept": "text/csv"})).text()).splitlines()[0]
    assert usual == "_id,customer_name,product_name,status,updated_at"


async def test_a_broken_export_does_not_look_complete(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await api.orders.insert_many([{"filler": "x" * 1000} for _ in range(3_000)])

    async def fail(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(list_source.ListSource, "more", fail)
    reply = await api.client.get("/api/orders", headers={"Accept": "application/x-ndjson"})
    assert reply.status == 200
    with pytest.raises(ClientError):
        await reply.read()


async def test_a_client_that_does_not_read_is_cut_off_and_exports_are_bounded(
    api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await api.orders.insert_many([{"filler": "x" * 1_000_000} for _ in range(40)])
    monkeypatch.setattr(export, "STALL_SECONDS", 1.0)
    request = b"GET /api/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/x-ndjson\r\n\r\n"
    stalled = [await asyncio.open_connection("127.0.0.1", api.client.port, limit=1024) for _ in range(2)]
    for _, writer in stalled:
        writer.write(request)
    for reader, _ in stalled:
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    third = await api.client.get("/api/orders", headers={"Accept": "text/csv"})
    assert (third.status, "Retry-After" in third.headers) == (429, True)
    old = await asyncio.open_connection("127.0.0.1", api.client.port)
    old[1].write(b"GET /api/orders HTTP/1.0\r\nHost: 127.0.0.1\r\nAccept: text/csv\r\n\r\n")
    assert b" 505 " in await old[0].readline()

    told = ""

    def are_cut_off() -> bool:
        nonlocal told
        told += capsys.readouterr().out
        return told.count("An export was cut off") == len(stalled)

    await until(are_cut_off, "the stalled exports are cut off")
    assert (await api.client.get("/api/orders?limit=1", headers={"Accept": "text/csv"})).status == 200
    for reader, writer in stalled:
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(41_000_000)
        writer.close()
    old[1].close()


async def test_an_index_that_was_dropped_meanwhile_is_no_error(api: Api) -> None:
    assert len(await ids(api, "sort=product_name")) == 20
    await api.orders.drop_index("product")
    assert len(await ids(api, "sort=product_name")) == 20
