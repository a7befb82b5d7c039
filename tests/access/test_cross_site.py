"""What a page of another origin can do with somebody's session: nothing, over every transport."""

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.access.browsers import SESSION, Browser, browser
from tests.access.conftest import Guarded, guarded_on
from tests.access.stand_in_provider import stand_in_provider
from tests.access.viewers import socket, sse
from tests.servers import Servers

pytestmark = pytest.mark.asyncio(loop_scope="module")

LISTED = "https://shop.example"  # CORS_ORIGINS has it: its pages may use the API, with tokens of their own
ORDER = {"customer_name": "Ada Lovelace", "product_name": "Laptop"}


@dataclass
class Scene:
    """A gateway with a page of another origin that it allows, and one signed-in browser."""

    product: Guarded
    page: Browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(session_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with stand_in_provider() as provider, guarded_on(session_servers, tmp_path_factory.mktemp("csrf")) as product:
        await product.watcher()
        gateway = await product.gateway(**provider.settings, CORS_ORIGINS=LISTED, TRUSTED_PROXIES="127.0.0.1")
        async with browser(gateway.url) as page:
            provider.claims |= {"orders": "*", "scope": "orders:read orders:write orders:admin"}
            await page.sign_in(provider)
            yield Scene(product, page)


def foreign(url: str) -> dict[str, dict[str, str]]:
    """Return what requests of other pages say of their origin."""
    host = url.partition("://")[2].partition(":")[0]
    return {
        "another site": {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        "a listed site": {"Origin": LISTED, "Sec-Fetch-Site": "cross-site"},
        "a listed site that claims the contrary": {"Origin": LISTED, "Sec-Fetch-Site": "same-origin"},
        "a sandboxed frame": {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        "another port": {"Origin": f"http://{host}:1", "Sec-Fetch-Site": "same-site"},
        "another scheme": {"Origin": url, "X-Forwarded-Proto": "https"},
        "a longer name": {"Origin": f"{url}.evil.example"},
        "another site without Origin": {"Sec-Fetch-Site": "cross-site"},
        "a subdomain without Origin": {"Sec-Fetch-Site": "same-site"},
    }


UNPROVEN = {"nothing that tells": {}, "an address that was typed": {"Sec-Fetch-Site": "none"}}
WRITES = [
    ("POST", "/api/orders", ORDER),
    ("PUT", "/api/orders/{id}", {"status": "shipped"}),
    ("DELETE", "/api/orders/{id}", None),
    ("POST", "/api/tickets", None),
    ("POST", "/api/admin/revocations", {"subject": "bystander"}),
    ("DELETE", "/api/admin/revocations/{id}", None),
    ("POST", "/auth/renew", None),
    ("POST", "/auth/sign-out", None),
]


@pytest.mark.parametrize(("method", "path", "body"), WRITES, ids=[f"{method} {path}" for method, path, _ in WRITES])
async def test_no_write_of_another_page_is_done(scene: Scene, method: str, path: str, body: Any) -> None:
    page, orders = scene.page, scene.product.orders
    await orders.delete_many({})
    order = (await orders.insert_one({**ORDER, "status": "pending"})).inserted_id
    session = page.cookies[SESSION]
    before = await orders.find().to_list()
    for name, headers in {**foreign(page.url), **UNPROVEN}.items():
        answer = await page.ask(method, path.format(id=order), headers=headers, json=body)
        assert answer.status == 403, name
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert page.cookies[SESSION] == session, name
    assert await orders.find().to_list() == before
    assert (await page.ask("GET", "/api/admin/revocations")).json == []


@pytest.mark.parametrize("path", ["/api/orders", "/api/orders/events", "/auth/session"])
async def test_no_read_of_another_page_is_answered(scene: Scene, path: str) -> None:
    for name, headers in foreign(scene.page.url).items():
        answer = await scene.page.ask("GET", path, headers=headers)
        assert answer.status == 403, name
        assert "Access-Control-Allow-Credentials" not in answer.headers


async def test_a_preflight_grants_no_credentials(scene: Scene) -> None:
    headers = {"Origin": LISTED, "Access-Control-Request-Method": "POST"}
    answer = await scene.page.ask("OPTIONS", "/api/orders", headers=headers)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (204, LISTED)
    assert "Access-Control-Allow-Credentials" not in answer.headers


async def test_a_page_with_a_token_of_its_own_does_not_sign_anybody_out(scene: Scene) -> None:
    headers = {"Origin": LISTED, "Authorization": "Bearer x"}
    answer = await scene.page.ask("POST", "/auth/sign-out", headers=headers)
    assert answer.status == 401
    assert scene.page.set == []


async def test_the_page_itself_may_do_all_of_it(scene: Scene) -> None:
    page = scene.page
    created = await page.ask("POST", "/api/orders", json=ORDER)
    assert created.status == 201
    order = f"/api/orders/{created.json['_id']}"
    proof = {"Sec-Fetch-Site": "same-origin"}  # alone it is enough
    assert (await page.ask("PUT", order, headers=proof, json={"status": "shipped"})).status == 200
    assert (await page.ask("DELETE", order, headers={"Origin": page.url})).status < 300
    for headers in (page.same_origin("GET"), *UNPROVEN.values()):
        assert (await page.ask("GET", "/api/orders", headers=headers)).status == 200


async def _refusal(url: str, query: str, headers: dict[str, str]) -> str | int:
    """Return why a websocket is not let in: a status of its handshake, or the reason in Socket.IO's answer."""
    async with aiohttp.ClientSession() as http:
        try:
            async with http.ws_connect(f"{url}/socket.io/?EIO=4&transport=websocket{query}", headers=headers) as ws:
                await ws.receive_str()
                await ws.send_str("40")
                answer = await ws.receive_str()
                return "connected" if answer.startswith("40") else str(json.loads(answer[2:])["message"])
        except aiohttp.WSServerHandshakeError as error:
            return error.status


@pytest.mark.parametrize("query", ["", "&x=%20"], ids=["plain handshake", "handshake for a parser"])
async def test_no_websocket_of_another_page_is_let_in(scene: Scene, query: str) -> None:
    page = scene.page
    cookie = {"Cookie": page.cookie}
    for name, headers in foreign(page.url).items():
        assert await _refusal(page.url, query, {**cookie, **headers}) in {403, "foreign_page"}, name
    assert await _refusal(page.url, query, {**cookie, "Origin": LISTED}) == "foreign_page"
    assert await _refusal(page.url, query, {**cookie, "Origin": page.url}) == "connected"
    assert await _refusal(page.url, query, {"Origin": page.url}) == "token_missing"


async def _polled(url: str, headers: dict[str, str]) -> str | int:
    async with aiohttp.ClientSession(headers=headers, cookie_jar=aiohttp.DummyCookieJar()) as http:
        address = f"{url}/socket.io/?EIO=4&transport=polling"
        async with http.get(address) as response:
            if response.status != 200:
                return response.status
            sid = json.loads((await response.text())[1:])["sid"]
        async with http.post(f"{address}&sid={sid}", data="40") as response:
            assert response.status == 200
        async with http.get(f"{address}&sid={sid}") as response:
            text = await response.text()
        return "connected" if text.startswith("40") else str(json.loads(text[2:])["message"])


async def test_no_polling_of_another_page_is_let_in(scene: Scene) -> None:
    page = scene.page
    cookie = {"Cookie": page.cookie}
    for name, headers in foreign(page.url).items():
        assert await _polled(page.url, {**cookie, **headers}) in {403, "foreign_page"}, name
    assert await _polled(page.url, {**cookie, "Sec-Fetch-Site": "same-origin"}) == "connected"


async def test_the_pages_own_streams_are_let_in_and_given_the_sessions_rights(scene: Scene) -> None:
    page = scene.page
    own = {"Cookie": page.cookie, **page.same_origin("GET")}
    async with sse(page.url, headers=own) as stream, socket(page.url, headers={**own, "Origin": page.url}) as websocket:
        await scene.product.orders.insert_one({**ORDER, "status": "pending"})
        for shown in (stream, websocket):
            assert (await shown.has("orderUpdate"))["data"]["customer_name"] == "Ada Lovelace"


async def test_a_token_in_the_payload_counts_instead_of_the_cookie(scene: Scene) -> None:
    page = scene.page
    own = {"Cookie": page.cookie, "Origin": page.url}
    for auth in ({"token": "x"}, {"token": ""}, {"ticket": "x"}):
        refused = []
        with suppress(Exception):
            async with socket(page.url, auth=auth, headers=own):
                refused.append(auth)
        assert not refused
