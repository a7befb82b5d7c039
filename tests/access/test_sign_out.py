"""Signing out, here and at the provider: over at every replica, for all connections, and for copies of the cookie."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.access.browsers import SESSION, SIGNED_IN, Answer, Browser, browser
from tests.access.conftest import guarded_on
from tests.access.stand_in_provider import ADA, LOGOUT, StandIn, stand_in_provider
from tests.access.tokens import bearer, token
from tests.access.viewers import Viewer, socket, sse
from tests.servers import Servers
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Scene:
    """Two replicas and their provider."""

    provider: StandIn
    urls: list[str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(session_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with stand_in_provider() as provider, guarded_on(session_servers, tmp_path_factory.mktemp("out")) as product:
        await product.watcher()
        gateways = [await product.gateway(**provider.settings) for _ in range(2)]
        yield Scene(provider, [each.url for each in gateways])


@pytest_asyncio.fixture(loop_scope="module")
async def page(scene: Scene) -> AsyncIterator[Browser]:
    """Yield a browser in which somebody has signed in whom nobody else is."""
    scene.provider.claims = {**ADA, "sub": f"ada {time.monotonic_ns()}", "sid": f"{time.monotonic_ns()}", "orders": "*"}
    async with browser(scene.urls[0]) as page:
        await page.sign_in(scene.provider)
        yield page


async def is_in(page: Browser, url: str) -> bool:
    page.url = url
    return (await page.ask("GET", "/api/orders")).status == 200


async def end(page: Browser, logout_token: str, **more: Any) -> Answer:
    """Send a logout token as the provider does: without cookies."""
    async with browser(page.url) as provider:
        form = {"logout_token": logout_token, **more}
        return await provider.ask("POST", "/auth/back-channel-logout", headers={}, data=form)


async def is_cut(viewer: Viewer) -> None:
    await until(lambda: viewer.is_over, "the stream is over", 5)
    assert viewer.named("ended") == [{"reason": "token_revoked"}]


async def test_signing_out_ends_the_session_everywhere_and_for_copies(scene: Scene, page: Browser) -> None:
    copy = dict(page.cookies)
    own = {"Cookie": page.cookie, **page.same_origin("GET")}
    async with sse(scene.urls[0], headers=own) as here, socket(scene.urls[1], headers=own) as there:
        answer = await page.ask("POST", "/auth/sign-out")
        assert answer.status == 200
        address = answer.json["continue_at"]
        assert address.startswith(
            f"{scene.provider.issuer}/sign-out?client_id=orders-page&post_logout_redirect_uri=http"
        )
        assert not {SESSION, SIGNED_IN} & page.cookies.keys()
        await is_cut(here)
        await is_cut(there)
    page.cookies = copy
    for url in scene.urls:
        assert not await is_in(page, url)
        assert (await page.ask("GET", "/auth/session")).json["reason"] == "token_revoked"
        assert (await page.ask("POST", "/auth/renew")).status == 401
    assert (await page.ask("POST", "/auth/sign-out")).status == 200, "again, to be rid of the cookie"
    assert SESSION not in page.cookies
    await page.sign_in(scene.provider)
    assert await is_in(page, scene.urls[1]), "the provider's session is the same, ours is another"


async def test_a_logout_at_the_provider_ends_its_session_and_no_other(scene: Scene, page: Browser) -> None:
    provider = scene.provider
    sub, sid = provider.claims["sub"], provider.claims["sid"]
    async with browser(scene.urls[1]) as elsewhere:  # another device of the same person
        provider.claims["sid"] = f"{sid}-elsewhere"
        await elsewhere.sign_in(provider)
        own = {"Cookie": page.cookie, **page.same_origin("GET")}
        async with socket(scene.urls[0], headers=own) as here, sse(scene.urls[1], headers=own) as there:
            assert (await end(elsewhere, provider.logout_token(sub=sub, sid=sid))).status == 200
            await is_cut(here)
            await is_cut(there)
        assert not await is_in(page, scene.urls[0])
        assert (await page.ask("POST", "/auth/renew")).status == 401
        assert await is_in(elsewhere, scene.urls[0])
        own_token = bearer(token(sub, rights="*", iat=int(time.time()) - 60))
        assert (await elsewhere.ask("GET", "/api/orders", headers=own_token)).status == 200
        assert (await end(page, provider.logout_token(sub=sub, iat=int(time.time())))).status == 200, (
            "all of the subject"
        )
        await until(lambda: _is_out(elsewhere, scene), "the other session is over", 5)


async def _is_out(page: Browser, scene: Scene) -> bool:
    return not any([await is_in(page, url) for url in scene.urls])


async def test_a_logout_that_comes_twice_does_not_end_the_next_session(scene: Scene, page: Browser) -> None:
    provider = scene.provider
    sub, sid = provider.claims["sub"], provider.claims["sid"]
    replayed = provider.logout_token(sub=sub, sid=sid, iat=int(time.time()) - 3, exp=int(time.time()) + 300)
    before = await _revocations(page)
    for url in (scene.urls[0], *scene.urls):  # at a replica that has not seen it, too
        page.url = url
        assert (await end(page, replayed)).status == 200
    assert await _revocations(page) <= before + 2, "no replica writes it down twice"
    for url in scene.urls:
        assert await is_in(page, url), "it signed in later than that"


async def _revocations(page: Browser) -> int:
    admin = bearer(token("root", scope="orders:admin"))
    return len((await page.ask("GET", "/api/admin/revocations", headers=admin)).json)


def _token(scene: Scene, **claims: Any) -> str:
    return scene.provider.logout_token(**{"sub": scene.provider.claims["sub"], **claims})


NOW = int(time.time())
BAD: dict[str, dict[str, Any]] = {
    "of another issuer": {"iss": "https://evil.example"},
    "for another client": {"aud": "somebody-else"},
    "for nobody": {"aud": None},
    "expired": {"exp": NOW - 60},
    "that never expires": {"exp": None},
    "of no time": {"iat": None},
    "of the future": {"iat": NOW + 3600, "exp": NOW + 7200},
    "of long ago": {"iat": NOW - 3600},
    "without an id": {"jti": None},
    "with an id that is no text": {"jti": 5},
    "without events": {"events": None},
    "with another event": {"events": {"http://schemas.openid.net/event/other": {}}},
    "with an event that is no object": {"events": {LOGOUT: True}},
    "with events that are a list": {"events": [LOGOUT]},
    "with a nonce": {"nonce": "x"},
    "of nobody": {"sub": None},
    "with a subject that is no text": {"sub": ["ada"]},
    "with a session that is no text": {"sid": {"a": 1}},
}


async def test_a_logout_token_that_is_not_one_for_us_is_refused(scene: Scene, page: Browser) -> None:
    good = _token(scene)
    head, _, signature = good.split(".")
    forged = {
        "nothing": "",
        "no token": "hostile",
        "changed": f"{head}.{_token(scene, sid='x').split('.')[1]}.{signature}",
        "unsigned": ".".join(good.split(".")[:2]) + ".",
        "a bearer's": token(scene.provider.claims["sub"], events={LOGOUT: {}}, jti="x"),
        "an ID token": scene.provider.sign({**scene.provider.claims, "nonce": "x"}),
        "huge": "x" * 40_000,
    }
    for name, text in {**forged, **{name: _token(scene, **claims) for name, claims in BAD.items()}}.items():
        answer = await end(page, text)
        assert (answer.status, answer.json["error"]) == (400, "invalid_request"), name
        assert answer.headers["Cache-Control"] == "no-store"
    for body in ("logout_token", f"logout_token={good}&logout_token={good}", b"\xff"):
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        assert (await page.ask("POST", "/auth/back-channel-logout", headers=headers, data=body)).status == 400
    assert (await page.ask("POST", "/auth/back-channel-logout", headers={}, json={"logout_token": good})).status == 415
    big = {"logout_token": "x" * 100_000}
    assert (await page.ask("POST", "/auth/back-channel-logout", headers={}, data=big)).status == 413
    assert await is_in(page, scene.urls[0])
    scene.provider.status = 500
    try:
        assert (await end(page, good)).status == 200, "its keys are known"
    finally:
        scene.provider.status = 200
    await until(lambda: _is_out(page, scene), "the session is over", 5)
