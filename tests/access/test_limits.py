"""More than a fair share is refused: at every door, in a form that stock clients understand, and to nobody else."""

import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import socketio

from services.gateway.edge.quota import Use
from services.gateway.list_mark import KeyMark
from tests.access.conftest import Guarded, guarded_on
from tests.access.stand_in_provider import stand_in_provider
from tests.access.tokens import bearer, token
from tests.access.viewers import socket, sse
from tests.log_entries import KEYS
from tests.servers import Servers
from tests.service_process import ServiceProcess
from tests.waiting import HANGS, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

ORDERS, EVENTS, BATCH = "/api/orders", "/api/orders/events", "/api/orders:batch"
ORDER = {"customer_name": "Ada", "product_name": "Laptop"}
HANDSHAKE = "/socket.io/?EIO=4&transport="
SHOP = "https://shop.example"
TIGHT = {
    "LIMIT_READS": "5/60",
    "LIMIT_WRITES": "3/60",
    "LIMIT_EXPENSIVE": "2/60",
    "LIMIT_HANDSHAKES": "6/60",
    "LIMIT_SUBSCRIBES": "3/60",
    "LIMIT_DEEP_RESUMES": "1/600",
    "MAX_CONNECTIONS_PER_SUBJECT": "2",
    "TRUSTED_PROXIES": "127.0.0.0/8",
    "CORS_ORIGINS": SHOP,
    "RING_EVENTS": "10",
}


@dataclass
class World:
    """Two replicas where few requests are too many, and one with the defaults and without tokens."""

    tight: ServiceProcess
    second: ServiceProcess
    usual: ServiceProcess
    product: Guarded
    first_cursor: str  # only the oplog can serve it
    http: aiohttp.ClientSession

    async def debts(self) -> dict[bytes, float]:
        """Return in how many seconds all will be available again, by its key in Redis."""
        redis = self.product.redis
        return {key: await redis.pttl(key) / 1000 async for key in redis.scan_iter(KEYS.limit("*"))}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(session_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with (
        guarded_on(session_servers, tmp_path_factory.mktemp("limits")) as product,
        aiohttp.ClientSession() as http,
    ):
        await product.watcher(LOG_MAX_EVENTS="100")
        usual = await product.gateway(AUTH="none", TRUSTED_PROXIES="127.0.0.0/8", RING_EVENTS="10")
        async with sse(usual.url) as shown:
            first = (await shown.has("connected"))["cursor"]
        await product.orders.insert_many([{"customer_name": "Ada", "n": n} for n in range(400)])
        tight, second = await product.gateway(**TIGHT), await product.gateway(**TIGHT)
        yield World(tight, second, usual, product, first, http)


def of(subject: str, address: str = "203.0.113.7", **claims: Any) -> dict[str, str]:
    return {**bearer(token(subject, rights="*", **claims)), "X-Forwarded-For": address}


async def ask(
    world: World,
    path: str,
    headers: dict[str, str],
    method: str = "GET",
    gateway: ServiceProcess | None = None,
    body: object = ORDER,
) -> aiohttp.ClientResponse:
    body = body if method == "POST" else None
    async with world.http.request(
        method, f"{(gateway or world.tight).url}{path}", headers=headers, json=body
    ) as response:
        if not (path == EVENTS and response.status == 200):
            await response.read()
        return response


async def incidents(gateway: ServiceProcess, kind: str) -> float:
    async with aiohttp.ClientSession() as http, http.get(f"{gateway.admin_url}/metrics") as response:
        match = re.search(rf'orders_gateway_incidents_total{{kind="{kind}"}} (\S+)', await response.text())
        assert match
        return float(match[1])


@pytest.mark.parametrize(
    ("use", "method", "path", "most"),
    [
        ("reads", "GET", f"{ORDERS}?limit=100", 5),
        ("reads", "HEAD", f"{ORDERS}/nothing", 5),
        ("reads", "GET", "/api/nothing/here", 5),
        ("writes", "POST", ORDERS, 3),
        ("writes", "DELETE", f"{ORDERS}/nothing", 3),
        ("expensive", "GET", f"{ORDERS}?limit=101", 2),
        ("expensive", "GET", f"{ORDERS}?limit=1&after=~~1.{'0' * 24}", 2),
        ("expensive", "GET", f"{ORDERS}?limit=1&sort=-updated_at&before={KeyMark('-updated_at', None, 1)}", 2),
        ("reads", "GET", f"{ORDERS}?limit=1&sort=-updated_at&before={KeyMark('-updated_at', None)}", 5),
        ("handshakes", "GET", EVENTS, 6),
    ],
)
async def test_requests_are_refused_by_what_they_cost_and_their_headers_are_true(
    world: World, use: str, method: str, path: str, most: int
) -> None:
    ada, refused_before = of(f"ada {use} {method} {path}"), await incidents(world.tight, f"{use}_limited")
    for left in range(most - 1, -1, -1):
        response = await ask(world, path, ada, method)
        assert response.status != 429, left
        assert response.headers["RateLimit-Policy"] == f'"{use}";q={most};w=60'
        remaining, window = told(response, use)
        assert remaining == left
        assert 0 < window <= 60 / most
        assert "Retry-After" not in response.headers
    response = await ask(world, path, ada, method)
    assert response.status == 429
    remaining, window = told(response, use)
    assert (remaining, int(response.headers["Retry-After"])) == (0, window)
    assert 0 < window <= 60 / most
    assert response.content_type == "application/problem+json"
    assert (await ask(world, path, of(f"bea {use} {method} {path}"), method)).status != 429
    assert await incidents(world.tight, f"{use}_limited") == refused_before + 1


@pytest.mark.parametrize(
    "accept",
    [["text/csv"], ["TEXT/CSV"], ["text/*"], ["application/json;q=0.1", "application/X-NDJSON"]],
    ids=", ".join,
)
async def test_an_export_costs_the_same_however_it_is_asked_for(world: World, accept: list[str]) -> None:
    ada = [*of(f"exporting by {accept}").items(), *(("Accept", each) for each in accept)]
    async with world.http.get(f"{world.tight.url}{ORDERS}?limit=1", headers=ada) as response:
        body = await response.text()  # to its end, or it would still be under way when the next one begins
        assert response.status == 200, body
        assert response.headers["Content-Disposition"].startswith("attachment")
        assert told(response, "expensive")[0] == 1


async def test_a_list_in_json_costs_a_read_also_where_an_export_is_declined(world: World) -> None:
    ada = {**of("declining"), "Accept": "application/json, text/csv;q=0"}
    assert told(await ask(world, f"{ORDERS}?limit=1", ada), "reads")[0] == 4


async def test_a_batch_costs_a_write_for_each_operation(world: World) -> None:
    ada, refused_before = of("in batches"), await incidents(world.tight, "writes_limited")
    batch = {"operations": [{"operation": "DELETE", "id": name} for name in ("nothing", "neither")]}
    assert (await ask(world, BATCH, ada, "POST", body=batch)).status == 404
    refused = await ask(world, BATCH, ada, "POST", body=batch)
    assert refused.status == 429
    assert told(refused, "writes")[0] == 1
    assert 0 < int(refused.headers["Retry-After"]) <= 20
    assert await incidents(world.tight, "writes_limited") == refused_before + 1
    assert (await ask(world, f"{ORDERS}/nothing", ada, "DELETE")).status == 404
    assert (await ask(world, f"{ORDERS}/nothing", ada, "DELETE")).status == 429


async def test_a_batch_that_is_refused_costs_as_much_as_one_that_is_done(world: World) -> None:
    ada = of("in bad batches")
    batch = {"operations": [{"operation": "DELETE", "id": name, "unknown": 1} for name in ("nothing", "neither")]}
    assert (await ask(world, BATCH, ada, "POST", body=batch)).status == 422
    assert (await ask(world, BATCH, ada, "POST", body=batch)).status == 429


def told(response: aiohttp.ClientResponse, use: str) -> tuple[int, int]:
    match = re.fullmatch(rf'"{use}";r=(\d+);t=(\d+)', response.headers["RateLimit"])
    assert match
    return int(match[1]), int(match[2])


async def test_the_refusal_is_a_problem_and_nothing_is_written(world: World) -> None:
    eve = of("eve")
    before = await world.product.orders.count_documents({})
    for _ in range(6):
        await ask(world, ORDERS, eve, "POST")
    async with world.http.post(f"{world.tight.url}{ORDERS}", headers=eve, json=ORDER) as response:
        problem = await response.json()
    assert problem["type"] == "urn:realtime-orders:problem:rate-limited"
    assert problem["status"] == 429
    assert "3 in 60 seconds" in problem["detail"]
    assert await world.product.orders.count_documents({}) == before + 3
    assert (await ask(world, ORDERS, eve)).status == 200  # reads are something else


async def test_a_page_of_another_origin_can_read_how_it_stands(world: World) -> None:
    for path in (ORDERS, EVENTS):
        response = await ask(world, path, {**of("origin"), "Origin": SHOP})
        exposed = response.headers["Access-Control-Expose-Headers"].split(", ")
        assert {"RateLimit", "RateLimit-Policy", "Retry-After"} <= set(exposed)
    async with world.http.options(
        f"{world.tight.url}{ORDERS}", headers={"Origin": SHOP, "Access-Control-Request-Method": "GET"}
    ) as response:
        assert response.status == 204  # a preflight costs nothing
        assert "RateLimit" not in response.headers
    for _ in range(5):  # nor does any other question for the methods
        response = await ask(world, ORDERS, {}, "OPTIONS")
        assert response.status == 204
        assert "RateLimit" not in response.headers


async def test_a_subject_is_one_wherever_it_comes_from(world: World) -> None:
    for number in range(5):
        assert (await ask(world, ORDERS, of("moving", f"203.0.113.{number}"))).status == 200
    assert (await ask(world, ORDERS, of("moving", "198.51.100.1"))).status == 429
    assert (await ask(world, ORDERS, of("203.0.113.7", "203.0.113.7"))).status == 200


async def test_replicas_limit_a_subject_together(world: World) -> None:
    both, statuses = of("both"), Counter[int]()
    known = await world.debts()

    async def asks(gateway: ServiceProcess) -> bool:
        response = await ask(world, ORDERS, both, gateway=gateway)
        statuses[response.status] += 1
        return response.status == 429

    async def is_told(seconds: float) -> bool:
        return any(debt > seconds for key, debt in (await world.debts()).items() if key not in known)

    for _ in range(5):
        await asks(world.tight)
    assert statuses == {200: 5}
    await until(lambda: is_told(49), "the others may know")  # five reads take a minute to be available again
    await asks(world.second)
    await until(lambda: is_told(61), "it has told of its own first read, and is answered with all of them")
    await until(lambda: asks(world.second), "the other replica refuses it, too")
    assert statuses[200] < 10  # five each without the other's, and it asks on until it has the answer
    assert (await ask(world, ORDERS, of("other"), gateway=world.second)).status == 200


async def connect_error(url: str, auth: dict[str, Any], transport: str = "websocket") -> Any:
    """Connect, which is refused; return what the client is told."""
    refusal = await _told_by_connecting(url, auth, transport)
    assert refusal is not None
    return refusal


async def first_refusal(url: str, auth: dict[str, Any], transport: str) -> Any:
    """Connect until it is refused: where that takes long, one more is allowed every ten seconds."""
    for _ in range(20):
        if (refusal := await _told_by_connecting(url, auth, transport)) is not None:
            return refusal
    raise AssertionError("no connection was refused")


async def _told_by_connecting(url: str, auth: dict[str, Any], transport: str) -> Any:
    client = socketio.AsyncClient(reconnection=False, request_timeout=HANGS)
    refusals: list[Any] = []
    client.on("connect_error", refusals.append)
    try:
        await client.connect(url, {}, auth, transports=[transport], wait_timeout=HANGS)
    except socketio.exceptions.ConnectionError:
        [refusal] = refusals
        return refusal
    finally:
        await client.disconnect()
    return None


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_subject_that_connects_too_often_is_told_when_to_come_back(world: World, transport: str) -> None:
    auth = {"token": token(f"hasty {transport}", rights="*")}
    for _ in range(6):
        async with socket(world.tight.url, transport, auth):
            pass
    refusal = await first_refusal(world.tight.url, auth, transport)
    assert refusal["message"] == refusal["data"]["reason"] == "rate_limited"
    assert refusal["data"]["limit"] == "handshakes"
    assert 0 < refusal["data"]["retry_after"] <= 10
    for _ in range(20):
        response = await ask(world, EVENTS, bearer(auth["token"]))
        if response.status != 200:  # one more is allowed every ten seconds
            break
    assert response.status == 429  # the same over any transport
    assert int(response.headers["Retry-After"]) <= 10
    async with socket(world.tight.url, transport, {"token": token("patient", rights="*")}):
        pass


async def test_handshakes_that_say_nothing_are_refused_by_address(world: World) -> None:
    mute, other = {"X-Forwarded-For": "2001:db8:7::1"}, {"X-Forwarded-For": "2001:db8:7:1::1"}
    before = await incidents(world.tight, "handshakes_limited")
    for number in range(6):
        headers = {"X-Forwarded-For": f"2001:db8:7::{number}"}
        assert (await ask(world, f"{HANDSHAKE}polling", headers)).status == 200
    refused = await ask(world, f"{HANDSHAKE}polling", mute)
    assert refused.status == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 10
    assert told(refused, "handshakes")[0] == 0
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await world.http.ws_connect(f"{world.tight.url}{HANDSHAKE}websocket", headers=mute)
    assert caught.value.status == 429
    assert caught.value.headers is not None
    assert 0 < int(caught.value.headers["Retry-After"]) <= 10
    assert await incidents(world.tight, "handshakes_limited") == before + 2
    assert (await ask(world, f"{HANDSHAKE}polling", other)).status == 200


async def test_an_address_does_not_pay_for_those_who_say_who_they_are(world: World) -> None:
    """An office behind one address: more people come than one of them might come times."""
    office = {"X-Forwarded-For": "198.51.100.77"}
    for number in range(20):
        auth = {"token": token(f"colleague {number}", rights="*")}
        async with socket(world.tight.url, auth=auth, headers=office):
            pass
    for number in range(20):
        assert (await ask(world, ORDERS, of(f"colleague {number}", "198.51.100.77"))).status == 200


async def test_guessing_tokens_is_limited_by_address_and_good_ones_are_let_in(world: World) -> None:
    guess = {**bearer("guess"), "X-Forwarded-For": "198.51.100.9"}
    assert [(await ask(world, ORDERS, guess)).status for _ in range(7)] == [401] * 5 + [429] * 2
    assert (await ask(world, ORDERS, of("honest", "198.51.100.9"))).status == 200
    assert (await ask(world, ORDERS, {**guess, "X-Forwarded-For": "198.51.100.8"})).status == 401
    reader = of("reader", "198.51.100.10", scope="orders:read")
    assert [(await ask(world, ORDERS, reader, "POST")).status for _ in range(4)] == [403] * 3 + [429]


@dataclass
class Bare:
    """A Socket.IO session without a client library, which would leave after the first refusal."""

    raw: aiohttp.ClientWebSocketResponse

    async def connect(self, auth: dict[str, str]) -> dict[str, Any]:
        """Send CONNECT; return what the answer says."""
        await self.raw.send_str(f"40{json.dumps(auth)}")
        while not (answer := await self.raw.receive_str(timeout=HANGS)).startswith(("40", "44")):
            pass  # an event of the connection before
        told: dict[str, Any] = json.loads(answer[2:])
        return told

    async def disconnect(self) -> None:
        await self.raw.send_str("41")


@asynccontextmanager
async def bare(world: World, address: str, gateway: ServiceProcess | None = None) -> AsyncIterator[Bare]:
    url, headers = f"{(gateway or world.tight).url}{HANDSHAKE}websocket", {"X-Forwarded-For": address}
    async with world.http.ws_connect(url, headers=headers) as raw:
        assert (await raw.receive_str(timeout=HANGS)).startswith("0{")
        yield Bare(raw)


def assert_told_to_wait(answer: dict[str, Any], seconds: int) -> None:
    assert answer["message"] == answer["data"]["reason"] == "rate_limited"
    assert answer["data"]["limit"] == "handshakes"
    assert 0 < answer["data"]["retry_after"] <= seconds


@pytest.mark.parametrize(("kind", "network"), [("token", "2001:db8:8"), ("ticket", "2001:db8:9")])
async def test_guessing_on_one_connection_costs_as_much_as_on_many(world: World, kind: str, network: str) -> None:
    before = await incidents(world.tight, "handshakes_limited")
    async with bare(world, f"{network}::1") as guessing:
        answers = [await guessing.connect({kind: f"guess {number}"}) for number in range(8)]
        assert [each["message"] for each in answers] == [f"{kind}_invalid"] * 6 + ["rate_limited"] * 2
        assert_told_to_wait(answers[-1], 10)
    assert await incidents(world.tight, "handshakes_limited") == before + 2
    assert (await ask(world, f"{HANDSHAKE}polling", {"X-Forwarded-For": f"{network}::2"})).status == 429
    async with bare(world, f"{network}:1::1") as other:
        assert "sid" in await other.connect({"token": token("elsewhere", rights="*")})


async def test_a_client_without_a_token_catches_up_on_one_connection_as_often_as_on_many(world: World) -> None:
    gateway = await world.product.gateway(AUTH="none", TRUSTED_PROXIES="127.0.0.0/8", LIMIT_HANDSHAKES="3/60")
    async with bare(world, "203.0.113.120", gateway) as greedy:
        for _ in range(3):
            assert "sid" in await greedy.connect({"since": world.first_cursor})
            await greedy.disconnect()
        assert_told_to_wait(await greedy.connect({"since": world.first_cursor}), 20)
    async with bare(world, "203.0.113.121", gateway) as modest:
        assert "sid" in await modest.connect({"since": world.first_cursor})


async def test_an_address_does_not_pay_for_those_who_connect_again_on_one_connection(world: World) -> None:
    for number in range(4):
        async with bare(world, "198.51.100.78") as colleague:
            for _ in range(3):
                assert "sid" in await colleague.connect({"token": token(f"returning {number}", rights="*")})
                await colleague.disconnect()
    async with bare(world, "198.51.100.78") as mistaken:
        for _ in range(5):
            assert (await mistaken.connect({"token": "guess"}))["message"] == "token_invalid"
        assert "sid" in await mistaken.connect({"token": token("mistaken", rights="*")})
        await mistaken.disconnect()  # it has paid for the last guess only, and the address for the others
        answers = [await mistaken.connect({"token": "guess"}) for _ in range(2)]
        assert [each["message"] for each in answers] == ["token_invalid", "rate_limited"]


async def test_signing_in_is_limited_by_address(world: World) -> None:
    """Who comes back from the provider costs a request to it, of which there may be only so many at once."""
    async with stand_in_provider() as provider:
        gateway = await world.product.gateway(**TIGHT, **provider.settings)
        here, elsewhere = {"X-Forwarded-For": "203.0.113.77"}, {"X-Forwarded-For": "203.0.113.78"}
        paths = ["/auth/sign-in", "/auth/callback?state=x&code=y"] * 3
        statuses = []
        for path in [*paths, *paths[:2]]:
            async with world.http.get(gateway.url + path, headers=here, allow_redirects=False) as response:
                statuses.append(response.status)
        assert statuses == [302, 400] * 3 + [429] * 2
        assert response.headers["RateLimit-Policy"].startswith('"handshakes"')
        async with world.http.get(f"{gateway.url}/auth/sign-in", headers=elsewhere, allow_redirects=False) as response:
            assert response.status == 302


async def test_filters_change_only_so_often(world: World) -> None:
    async with socket(world.tight.url, auth={"token": token("choosy", rights="*")}) as shown:
        for status in ("pending", "shipped", "delivered"):
            assert "cursor" in await shown.ask("subscribe", {"status": [status]})
        answer = await shown.ask("subscribe", {"status": ["pending"]})
        assert answer["error"]["reason"] == "rate_limited"
        assert answer["error"]["limit"] == "subscribes"
        assert 0 < answer["error"]["retry_after"] <= 20
        answer = await shown.ask("authenticate", {"token": token("choosy", rights="*")})
        assert "expires_at" in answer  # a handshake, of which there are some left
        for _ in range(4):
            await shown.ask("authenticate", {"token": token("choosy", rights="*")})
        answer = await shown.ask("authenticate", {"token": token("choosy", rights="*")})
        assert answer["error"]["limit"] == "handshakes"
    async with socket(world.tight.url, auth={"token": token("calm", rights="*")}) as shown:
        assert "cursor" in await shown.ask("subscribe", {"status": ["pending"]})


async def test_snapshots_cost_as_much_over_a_socket_as_a_list_of_all_orders(world: World) -> None:
    auth = {"token": token("greedy", rights="*")}
    async with socket(world.tight.url, auth=auth) as shown:
        for times in (1, 2):
            assert "cursor" in await shown.ask("subscribe", {"snapshot": True})
            await shown.has("live", times)
        answer = await shown.ask("subscribe", {"snapshot": True, "status": ["pending"]})
        assert (answer["error"]["limit"], answer["error"]["reason"]) == ("expensive", "rate_limited")
        assert shown.named("subscribed")[-1]["filters"] == 1  # everything, as before
    refusal = await connect_error(world.tight.url, {**auth, "since": "snapshot"}, "websocket")
    assert (refusal["message"], refusal["data"]["limit"]) == ("rate_limited", "expensive")


@pytest.mark.parametrize("transport", ["websocket", "sse"])
async def test_the_oplog_is_read_only_so_often_for_one_subject(world: World, transport: str) -> None:
    async def told_first(subject: str) -> set[str]:
        since, text = world.first_cursor, token(subject, rights="*")
        if transport == "sse":
            async with sse(world.tight.url, {"since": since}, bearer(text)) as shown:
                await until(lambda: len(shown.told) > 1, "something follows")
                return set(shown.names)
        async with socket(world.tight.url, auth={"token": text, "since": since}) as shown:
            await until(lambda: len(shown.told) > 1, "something follows")
            return set(shown.names)

    assert await told_first(f"nostalgic {transport}") == {"connected", "orderUpdate"}
    before = await incidents(world.tight, "deep_resumes_limited")
    assert await told_first(f"nostalgic {transport}") == {"connected", "resync"}
    assert await incidents(world.tight, "deep_resumes_limited") == before + 1
    assert await told_first(f"curious {transport}") == {"connected", "orderUpdate"}


async def test_a_subject_holds_only_so_many_connections_of_any_kind(world: World) -> None:
    url, many = world.tight.url, token("many", rights="*")
    async with socket(url, "polling", {"token": many}):
        async with sse(url, headers={**bearer(many), "X-Forwarded-For": "203.0.113.99"}):
            refusal = await connect_error(url, {"token": many})
            assert refusal["message"] == refusal["data"]["reason"] == "too_many_of_subject"
            assert refusal["data"]["retry_after"] > 0
            response = await ask(world, EVENTS, bearer(many))
            assert response.status == 429
            assert int(response.headers["Retry-After"]) > 0
            async with sse(url, headers=bearer(token("few", rights="*"))):
                pass

        async def may_again() -> bool:
            async with world.http.get(f"{url}{EVENTS}", headers=bearer(token("many", rights="*"))) as response:
                return response.status == 200

        assert await until(may_again, "a place is free again")
    assert await incidents(world.tight, "too_many_of_subject") >= 2


async def test_the_defaults_limit_no_client_of_this_machine_and_others_far_from_what_people_do(world: World) -> None:
    for path in (ORDERS, f"{ORDERS}?limit=500", "/api/openapi.json"):
        response = await ask(world, path, {}, gateway=world.usual)
        assert response.status == 200
        assert "RateLimit" not in response.headers
    policies = {}
    for method, path in (("GET", ORDERS), ("GET", f"{ORDERS}?limit=500"), ("DELETE", f"{ORDERS}/x"), ("GET", EVENTS)):
        headers = {"X-Forwarded-For": "203.0.113.7"}
        response = await ask(world, path, headers, method, gateway=world.usual)
        name, quota, window = response.headers["RateLimit-Policy"].replace("q=", "").replace("w=", "").split(";")
        policies[name.strip('"')] = int(quota) / int(window)
    # Ten tabs that reload each second: each is a list of 500, a handshake and some reads.
    assert all(policies[use] >= 20 for use in ("reads", "expensive", "handshakes", "writes"))


async def test_what_is_off_is_not_limited_and_what_is_set_holds_on_this_machine(world: World) -> None:
    off = {f"LIMIT_{use.upper()}": "off" for use in Use if use is not Use.READS}
    gateway = await world.product.gateway(AUTH="none", **off, LIMIT_READS="2/60")
    statuses = [(await ask(world, ORDERS, {}, gateway=gateway)).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    for _ in range(5):
        response = await ask(world, f"{ORDERS}?limit=500", {"X-Forwarded-For": "203.0.113.7"}, gateway=gateway)
        assert response.status == 200
        assert "RateLimit" not in response.headers
    for path in ("/healthz", "/readyz", "/"):
        assert (await ask(world, path, {}, gateway=gateway)).status == 200
    async with world.http.get(f"{gateway.admin_url}/readyz") as response:
        assert response.status == 200
        assert "RateLimit" not in response.headers
