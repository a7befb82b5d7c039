"""Which pages of other origins may use the API."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.rest_api import JOHN, Client, orders_at, serve, store_of

OURS = "https://shop.example"
ALLOW = "Access-Control-Allow-Origin"


@pytest.fixture
async def client(mongodb_uri: str) -> AsyncIterator[Client]:
    async with orders_at(mongodb_uri) as orders, serve(store_of(orders), origins=[OURS]) as client:
        yield client


@pytest.mark.parametrize("address", ["/api/orders", "/api/orders/x", "/api/nothing", "/readyz"])
async def test_a_configured_origin_may_read_answers_and_problems(client: Client, address: str) -> None:
    headers = (await client.get(address, headers={"Origin": OURS})).headers
    assert headers[ALLOW] == OURS
    assert "Origin" in headers["Vary"]
    assert "Stream-Cursor" in headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in headers  # a cookie is for our own page


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "*",
        "",
        "http://shop.example",
        "https://shop.example:8443",
        "https://evil-shop.example",
        "https://shop.example.evil.test",
        "https://SHOP.example",
        "https://shop.example/",
        None,
    ],
)
async def test_any_other_origin_may_not_but_caches_are_told(client: Client, origin: str | None) -> None:
    sent = {} if origin is None else {"Origin": origin}
    for reply in (
        await client.get("/api/orders", headers=sent),
        await client.options("/api/orders", headers={**sent, "Access-Control-Request-Method": "POST"}),
    ):
        assert (reply.status == 403) == (origin is not None)
        assert ALLOW not in reply.headers
        assert "Access-Control-Allow-Methods" not in reply.headers
        assert "Origin" in reply.headers["Vary"]


async def test_a_page_of_a_strangers_changes_nothing(client: Client) -> None:
    created = await client.post("/api/orders", json=JOHN)
    order = f"/api/orders/{(await created.json())['_id']}"
    for origin in ("https://evil.example", "null"):
        sent = {"Origin": origin}
        for reply in (
            await client.delete(order, headers=sent),
            await client.put(order, json={"status": "shipped"}, headers=sent),
            await client.post("/api/orders", json=JOHN, headers=sent),
            await client.post("/api/orders", data="{}", headers={**sent, "Content-Type": "text/plain"}),
        ):
            assert reply.status == 403
            assert reply.content_type == "application/problem+json"
    assert [one["status"] for one in await (await client.get("/api/orders")).json()] == [JOHN["status"]]


@pytest.mark.parametrize("host", ["{host}:{port}", "{HOST}:{port}"])
async def test_the_page_of_the_server_itself_may_write_however_its_host_is_written(client: Client, host: str) -> None:
    port = client.port
    name = host.format(host="localhost", HOST="LOCALHOST", port=port)
    reply = await client.post("/api/orders", json=JOHN, headers={"Origin": f"http://localhost:{port}", "Host": name})
    assert reply.status == 201


@pytest.mark.parametrize("address", ["/api/orders", "/api/orders/" + "0" * 24, "/api/orders/events"])
async def test_a_preflight_of_a_configured_origin_is_granted(client: Client, address: str) -> None:
    asked = {
        "Origin": OURS,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "content-type",
    }
    reply = await client.options(address, headers=asked)
    assert (reply.status, reply.headers[ALLOW]) == (204, OURS)
    assert "PUT" in reply.headers["Access-Control-Allow-Methods"]
    assert "Content-Type" in reply.headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize(
    "asked",
    ["authorization", "last-event-id", "cache-control", "idempotency-key", "if-match", "content-type,x-of-their-own"],
)
async def test_a_configured_origin_may_send_the_headers_of_its_clients(client: Client, asked: str) -> None:
    headers = {
        "Origin": OURS,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": asked,
    }
    reply = await client.options("/api/orders/events", headers=headers)
    granted = reply.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert set(asked.split(",")) <= set(granted)


async def test_a_write_from_a_configured_origin_shows_its_cursor(client: Client) -> None:
    reply = await client.post("/api/orders", json=JOHN, headers={"Origin": OURS})
    assert (reply.status, reply.headers[ALLOW]) == (201, OURS)


async def test_a_star_lets_all_origins_read_and_still_none_send_credentials(mongodb_uri: str) -> None:
    async with orders_at(mongodb_uri) as orders, serve(store_of(orders), origins=["*"]) as client:
        headers = (await client.get("/api/orders", headers={"Origin": "https://any.example"})).headers
        assert headers[ALLOW] == "*"
        assert "Access-Control-Allow-Credentials" not in headers


async def test_without_configured_origins_there_are_no_cors_headers(mongodb_uri: str) -> None:
    async with orders_at(mongodb_uri) as orders, serve(store_of(orders)) as client:
        headers = (await client.get("/api/orders", headers={"Origin": OURS})).headers
        assert ALLOW not in headers
        assert "Origin" not in headers["Vary"]
