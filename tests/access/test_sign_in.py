"""Sign-in by OpenID Connect, step by step: what is accepted, and every way to cheat at one of the steps."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec

from services.gateway.sign_in.seal import Seal
from services.gateway.sign_in.session import Lifespans, PageSessions
from tests.access.browsers import SESSION, SIGN_IN, SIGNED_IN, Browser, browser
from tests.access.conftest import Guarded, guarded_on
from tests.access.stand_in_provider import ADA, CLIENT_SECRET, StandIn, stand_in_provider
from tests.servers import Servers
from tests.service_process import ServiceProcess
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "the secret that all replicas share in these tests"
SESSIONS = PageSessions(Seal("session", [SECRET]), Lifespans(3600, 43_200))
ORDER = {"customer_name": "Ada Lovelace", "product_name": "Laptop"}


@dataclass
class Scene:
    """A gateway, another one, and their provider."""

    provider: StandIn
    gateway: ServiceProcess
    other: ServiceProcess
    product: Guarded

    @property
    def url(self) -> str:
        return self.gateway.url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(session_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with stand_in_provider() as provider, guarded_on(session_servers, tmp_path_factory.mktemp("in")) as product:
        await product.watcher()
        settings = {**provider.settings, "RECOVERY_SECRET": SECRET}
        gateway, other = [await product.gateway(**settings) for _ in range(2)]
        await product.orders.delete_many({})
        customers = ("Ada Lovelace", "Grace Hopper")
        await product.orders.insert_many([{**ORDER, "customer_name": name, "status": "pending"} for name in customers])
        yield Scene(provider, gateway, other, product)


@pytest_asyncio.fixture(loop_scope="module")
async def page(scene: Scene) -> AsyncIterator[Browser]:
    provider = scene.provider
    provider.claims = {**ADA, "orders": {"customer_name": ["Ada Lovelace"]}}
    provider.changed, provider.signing_key, provider.status = dict, None, 200
    provider.refresh, provider.description = True, {}
    async with browser(scene.url) as page:
        yield page


async def test_who_signs_in_is_known_at_every_replica_for_what_the_provider_says(scene: Scene, page: Browser) -> None:
    assert (await page.ask("GET", "/auth/session")).json["reason"] == "token_missing"
    answer = await page.sign_in(scene.provider, "/?transport=sse#orders")
    assert answer.headers["Location"] == "/?transport=sse#orders"
    [line] = [line for line in page.set if line.startswith(SESSION)]
    assert {part.strip() for part in line.split(";")[1:]} >= {"HttpOnly", "Secure", "SameSite=Lax", "Path=/"}
    assert "Domain" not in line
    for url in (scene.url, scene.other.url):
        page.url = url
        known = (await page.ask("GET", "/auth/session")).json
        assert (known["subject"], known["name"], known["renewable"]) == ("ada", "Ada Lovelace", True)
        assert known["scopes"] == ["orders:read", "orders:write"]
        listed = (await page.ask("GET", "/api/orders")).json
        assert {order["customer_name"] for order in listed} == {"Ada Lovelace"}
        written = await page.ask("POST", "/api/orders", json=ORDER)
        assert written.status == 201
        assert (await page.ask("DELETE", f"/api/orders/{written.json['_id']}")).status < 300
        assert (await page.ask("POST", "/api/orders", json={**ORDER, "customer_name": "Bob"})).status == 403
        assert (await page.ask("POST", "/api/tickets")).status == 201


async def test_roles_become_scopes_and_without_any_nothing_may_be_done(scene: Scene, page: Browser) -> None:
    for claims, scopes in (
        ({"scope": ["auditor", 5]}, ["orders:read"]),
        ({"scope": None}, []),
        ({"scope": {"orders:read": True}}, []),
    ):
        scene.provider.claims = {**ADA, "orders": "*", **claims}
        await page.sign_in(scene.provider)
        assert (await page.ask("GET", "/auth/session")).json["scopes"] == scopes
        assert (await page.ask("GET", "/api/orders")).status == (200 if scopes else 403)
        assert (await page.ask("POST", "/api/orders", json=ORDER)).status == 403


ELSEWHERE = [
    "//evil.example",
    "/\\evil.example",
    "https://evil.example",
    "evil",
    "",
    "/\t/evil.example",
    "/a\r\nb",
    "javascript:1",
    "/auth/sign-in",
    "/" + "x" * 600,
    "/\u2215evil",
    "\\/evil.example",
]


@pytest.mark.parametrize("to", ELSEWHERE)
async def test_nobody_is_sent_to_another_site(scene: Scene, page: Browser, to: str) -> None:
    answer = await page.ask("GET", "/auth/sign-in", headers={}, params={"to": to})
    assert answer.status == 400
    assert "Location" not in answer.headers
    assert not page.cookies


async def test_an_answer_counts_only_in_the_browser_that_asked_and_once(scene: Scene, page: Browser) -> None:
    good = scene.provider.authorize(await page.to_provider())
    kept = page.cookies[SIGN_IN]
    async with browser(scene.url) as victim:  # the attacker sends his own way back to somebody else
        assert (await victim.back(good)).status == 400
        await victim.to_provider()
        assert (await victim.back(good)).status == 400
        assert SESSION not in victim.cookies
    state = good["state"]
    for bad in ("", state[:-1], state[:-6] + "AAAAAA", "x" * 5000, "\u2713", state + "A"):
        assert (await page.back({**good, "state": bad})).status == 400
    for cookie in ("", "x", kept[:-1], kept.swapcase()):
        page.cookies[SIGN_IN] = cookie
        assert (await page.back(good)).status == 400
    page.cookies[SIGN_IN] = kept
    assert (await page.back({"state": state})).status == 403
    assert SESSION not in page.cookies
    assert (await page.back(good)).status == 303
    del page.cookies[SESSION]
    assert (await page.back(good)).status == 403, "the code is used up"
    assert SESSION not in page.cookies


async def test_two_tabs_may_sign_in_at_the_same_time(scene: Scene, page: Browser) -> None:
    ways = [scene.provider.authorize(await page.to_provider(f"/?tab={n}")) for n in range(2)]
    for n, way in enumerate(ways):
        assert (await page.back(way)).headers["Location"] == f"/?tab={n}"


async def test_the_code_is_bound_to_its_attempt(scene: Scene, page: Browser) -> None:
    one, other = [scene.provider.authorize(await page.to_provider()) for _ in range(2)]
    assert (await page.back({**one, "code": other["code"]})).status == 403, "PKCE"
    for issuer in ("https://evil.example", scene.provider.issuer + "/", ""):
        assert (await page.back({**one, "iss": issuer})).status == 403
    del one["iss"]
    assert (await page.back(one)).status == 403, "the provider says that it names itself"
    refused = {"error": "access_denied", "error_description": "<script>alert(1)</script>", "state": other["state"]}
    answer = await page.back({**refused, "iss": scene.provider.issuer})
    assert answer.status == 403
    assert "script>" not in answer.text
    assert SESSION not in page.cookies


def _without(name: str) -> Any:
    return lambda claims: {**claims, name: None}


def _with(**more: Any) -> Any:
    return lambda claims: {**claims, **more}


BAD_ID_TOKENS = {
    "another nonce": _with(nonce="x" * 43),
    "no nonce": _without("nonce"),
    "a nonce that is no text": _with(nonce=["x"]),
    "another issuer": _with(iss="https://evil.example"),
    "no issuer": _without("iss"),
    "another audience": _with(aud="somebody-else"),
    "no audience": _without("aud"),
    "several audiences and no party": _with(aud=["orders-page", "somebody-else"]),
    "another party": _with(azp="somebody-else"),
    "expired": _with(exp=int(time.time()) - 60),
    "never expires": _without("exp"),
    "of the future": _with(iat=int(time.time()) + 86_400),
    "no subject": _without("sub"),
    "an unprintable subject": _with(sub="a\nb"),
    "a long subject": _with(sub="a" * 300),
    "rights that are none": _with(orders={"customer": "Ada"}),
    "rights for everything by mistake": _with(orders={}),
    "a session that is no text": _with(sid=5),
    "huge": _with(filler="x" * 40_000),
}


@pytest.mark.parametrize("bad", BAD_ID_TOKENS)
async def test_an_id_token_that_is_not_for_this_attempt_is_refused(scene: Scene, page: Browser, bad: str) -> None:
    scene.provider.changed = BAD_ID_TOKENS[bad]
    answer = await page.back(scene.provider.authorize(await page.to_provider()))
    assert answer.status == 403
    assert SESSION not in page.cookies


async def test_an_id_token_of_another_signer_is_refused(scene: Scene, page: Browser) -> None:
    scene.provider.signing_key = ec.generate_private_key(ec.SECP256R1())
    assert (await page.back(scene.provider.authorize(await page.to_provider()))).status == 403
    assert SESSION not in page.cookies


async def test_a_session_is_never_one_that_somebody_else_has_chosen(scene: Scene, page: Browser) -> None:
    seen = set()
    for planted in ("", "chosen", "x" * 4000):
        page.cookies[SESSION] = planted
        await page.sign_in(scene.provider)
        seen.add(page.cookies[SESSION])
    assert len(seen) == 3
    assert not seen & {"", "chosen"}
    before = page.cookies[SESSION]
    await page.sign_in(scene.provider)
    assert page.cookies[SESSION] != before


async def test_a_cookie_that_was_changed_is_nobodys(scene: Scene, page: Browser) -> None:
    await page.sign_in(scene.provider)
    good = page.cookies[SESSION]
    middle = len(good) // 2
    changed = good[:middle] + ("A" if good[middle] != "A" else "B") + good[middle + 1 :]
    state = scene.provider.authorize(await page.to_provider())["state"]
    for bad in (changed, good[:-10], good[:20], good + "AAAA", "x", "\u2713", "x" * 4096, good * 3, state, '"'):
        page.cookies[SESSION] = bad
        for path in ("/api/orders", "/api/orders/events", "/auth/session"):
            assert (await page.ask("GET", path)).status == 401
    page.cookies[SESSION] = f"{good}; {SESSION}={changed}"  # which of two counts, nobody can tell
    assert (await page.ask("GET", "/api/orders")).status == 401
    page.cookies[SESSION] = good
    assert (await page.ask("GET", "/api/orders")).status == 200


async def test_the_cookie_is_not_looked_at_where_something_else_is_given(scene: Scene, page: Browser) -> None:
    await page.sign_in(scene.provider)
    own = page.same_origin("GET")
    for headers in ({"Authorization": "Bearer x"}, {"Authorization": "Basic eDp5"}, {"Authorization": ""}):
        assert (await page.ask("GET", "/api/orders", headers={**own, **headers})).status == 401
    answer = await page.ask("GET", "/api/orders/events?ticket=x")
    assert answer.status == 401
    assert "ticket_invalid" in answer.headers["WWW-Authenticate"]


async def test_rights_too_many_for_a_cookie_are_refused_and_a_long_refresh_token_is_left_out(
    scene: Scene, page: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "tests.access.stand_in_provider.token_urlsafe", lambda size: "r" * (3000 if size == 32 else size)
    )
    await page.sign_in(scene.provider)
    assert not (await page.ask("GET", "/auth/session")).json["renewable"]
    assert (await page.ask("POST", "/auth/renew")).status == 409
    assert all(len(value) + len(name) < 4096 for name, value in page.cookies.items())
    monkeypatch.undo()
    scene.provider.claims = {
        **ADA,
        "sub": "\U0001f600" * 250,
        "name": "\U0001f600" * 250,
        "sid": "\U0001f600" * 250,
        "orders": {"customer_name": [f"{n:x}" * 20 for n in range(60)]},
    }
    answer = await page.back(scene.provider.authorize(await page.to_provider()))
    assert answer.status == 403


async def test_a_session_is_renewed_with_the_rights_of_now_and_ends_with_the_grant(scene: Scene, page: Browser) -> None:
    await page.sign_in(scene.provider)
    first = page.cookies[SESSION]
    scene.provider.claims = {**ADA, "scope": "orders:read", "orders": {"customer_name": ["Grace Hopper"]}}
    renewed = await page.ask("POST", "/auth/renew")
    assert (renewed.status, renewed.json["scopes"]) == (200, ["orders:read"])
    assert page.cookies[SESSION] != first
    listed = (await page.ask("GET", "/api/orders")).json
    assert {order["customer_name"] for order in listed} == {"Grace Hopper"}
    scene.provider.claims["sub"] = "grace"
    assert (await page.ask("POST", "/auth/renew")).status == 401
    assert not {SESSION, SIGNED_IN} & page.cookies.keys()
    page.cookies[SESSION] = first  # its refresh token is used up
    refused = await page.ask("POST", "/auth/renew")
    assert (refused.status, refused.json["reason"]) == (401, "session_ended")
    assert SESSION not in page.cookies


async def test_a_session_that_has_ended_is_renewed_until_its_sign_in_is_too_old(scene: Scene, page: Browser) -> None:
    await page.sign_in(scene.provider)
    session, now = SESSIONS.read(page.cookies[SESSION]), int(time.time())
    ended = msgspec.structs.replace(session, expires_at=now - 1)
    page.cookies[SESSION] = SESSIONS.write(ended)
    for path in ("/api/orders", "/api/orders/events", "/auth/session"):
        assert (await page.ask("GET", path)).status == 401
    assert (await page.ask("GET", "/auth/session")).json["reason"] == "token_expired"
    assert (await page.ask("POST", "/auth/renew")).status == 200
    assert (await page.ask("GET", "/api/orders")).status == 200
    page.cookies[SESSION] = SESSIONS.write(msgspec.structs.replace(ended, signed_in_at=now - 43_201))
    assert (await page.ask("POST", "/auth/renew")).status == 401


async def test_while_the_provider_is_down_sessions_go_on_and_others_are_told_so(
    session_servers: Servers, tmp_path_factory: pytest.TempPathFactory, scene: Scene, page: Browser
) -> None:
    await page.sign_in(scene.provider)
    way = scene.provider.authorize(await page.to_provider())
    scene.provider.status = 500
    assert (await page.ask("GET", "/api/orders")).status == 200
    answer = await page.back(way)
    assert answer.status == 503
    assert "does not answer" in answer.text
    renewal = await page.ask("POST", "/auth/renew")
    assert (renewal.status, renewal.headers["Retry-After"]) == (503, "2")
    assert SESSION in page.cookies, "it is still good"
    cold = await scene.product.gateway(**scene.provider.settings, RECOVERY_SECRET=SECRET)
    async with browser(cold.url) as stranger:
        answer = await stranger.ask("GET", "/auth/sign-in", headers={})
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert "Try again" in answer.text
    page.url = cold.url
    assert (await page.ask("GET", "/api/orders")).status == 200
    await cold.stop()


async def test_nothing_secret_is_logged(scene: Scene, page: Browser) -> None:
    await page.sign_in(scene.provider)
    await page.ask("POST", "/auth/renew")
    told = [*scene.provider.told, CLIENT_SECRET, *page.cookies.values()]
    output = scene.gateway.output + scene.other.output
    assert len(told) > 20
    assert "A sign-in failed" in output
    assert not [one for one in told if len(one) > 2 and one in output]


async def test_sign_in_needs_https_where_browsers_do(scene: Scene) -> None:
    gateway = await scene.product.gateway(
        **scene.provider.settings, ALLOWED_HOSTS="orders.example", TRUSTED_PROXIES="127.0.0.1"
    )
    async with aiohttp.ClientSession() as http:
        for scheme, status in (("http", 400), ("https", 302)):
            headers = {"Host": "orders.example", "X-Forwarded-Proto": scheme}
            async with http.get(f"{gateway.url}/auth/sign-in", headers=headers, allow_redirects=False) as response:
                assert response.status == status
        assert "redirect_uri=https%3A%2F%2Forders.example%2Fauth%2Fcallback" in response.headers["Location"]
    await gateway.stop()
    await asyncio.sleep(0)


async def test_whoever_asks_the_provider_again_and_again_keeps_nobody_else_from_signing_in(scene: Scene) -> None:
    """A state is good for ten minutes, and whoever has one may come back with any code, which costs a request."""
    provider = scene.provider
    provider.answers, provider.asked_in_vain = asyncio.Event(), 0
    async with browser(scene.url) as stranger, browser(scene.url, "127.0.0.2") as person:
        way_back = {**provider.authorize(await stranger.to_provider()), "code": "none"}
        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(stranger.back(way_back)) for _ in range(80)]
            await until(lambda: provider.asked_in_vain >= 5, "the stranger's requests are at the provider")
            await person.sign_in(provider)
            assert (await person.ask("POST", "/auth/renew")).status == 200
            assert provider.asked_in_vain == 5
            provider.answers.set()
        provider.answers = None
        assert {answer.status for answer in (task.result() for task in asking)} <= {403, 503}
        await stranger.sign_in(provider)
