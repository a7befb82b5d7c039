"""Sign-in as a person sees it: a real browser, the page, and a real OpenID provider."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.request import Request, urlopen

import msgspec
import pytest
import pytest_asyncio
from selenium.webdriver import Chrome

from services.embedded.ports import free_port
from services.gateway.filters import Filter, to_text
from services.gateway.sign_in.seal import Seal
from services.gateway.sign_in.session import Lifespans, PageSessions
from tests.access.browsers import SESSION
from tests.access.conftest import Guarded, guarded_on
from tests.access.provider_process import ProviderProcess
from tests.access.sign_in_page import SignInPage
from tests.access.tokens import token
from tests.servers import Servers
from tests.service_process import ServiceProcess
from tests.web.browser import DESKTOP, Row, chromium

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "the secret that all replicas share in these tests"
_NOTE_DOUBTS = """
  window.doubts = [];
  const { dataset } = document.documentElement;
  const note = () => (dataset.connection !== "live" || "doubt" in dataset) && doubts.push({ ...dataset });
  new MutationObserver(note).observe(document.documentElement, { attributes: true });
"""
SESSIONS = PageSessions(Seal("session", [SECRET]), Lifespans(3600, 43_200))


@dataclass
class Scene:
    """A gateway whose people sign in at a provider."""

    url: str
    provider: ProviderProcess
    product: Guarded
    gateway: ServiceProcess

    async def order(self, customer: str) -> str:
        added = {"customer_name": customer, "product_name": "Laptop", "status": "pending"}
        return str((await self.product.orders.insert_one(added)).inserted_id)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(session_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    folder = tmp_path_factory.mktemp("page")
    async with guarded_on(session_servers, folder) as product:
        port = free_port()
        url = f"http://localhost:{port}"
        async with ProviderProcess(page=url, folder=folder) as provider:
            await product.watcher()
            gateway = await product.gateway(**provider.settings, PORT=str(port), RECOVERY_SECRET=SECRET)
            await product.orders.delete_many({})
            yield Scene(url, provider, product, gateway)


def session_until(page: SignInPage, expires_in: float) -> None:
    """Let the session end after so many seconds, as if it were so old."""
    change_session(page, expires_at=int(time.time() + expires_in))


def change_session(page: SignInPage, **fields: Any) -> None:
    """Let the browser have another cookie of its session."""
    cookie = page.cookies[SESSION]
    changed = msgspec.structs.replace(SESSIONS.read(cookie["value"]), **fields)
    kept = {name: cookie[name] for name in ("name", "domain", "path", "secure", "httpOnly", "sameSite", "expires")}
    page.driver.execute_cdp_cmd("Network.setCookie", {**kept, "value": SESSIONS.write(changed)})


def sign_out_unseen(page: SignInPage, url: str) -> None:
    """Sign out with the browser's cookies, which it keeps."""
    cookies = "; ".join(f"{name}={cookie['value']}" for name, cookie in page.cookies.items())
    with urlopen(Request(f"{url}/auth/sign-out", method="POST", headers={"Cookie": cookies, "Origin": url})):
        pass


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("profile") / "chromium", DESKTOP) as driver:
        yield driver


@pytest.fixture
def page(chrome: Chrome) -> Iterator[SignInPage]:
    """Yield a page of a browser that knows nobody."""
    chrome.get("about:blank")
    chrome.execute_cdp_cmd("Network.clearBrowserCookies", {})
    page = SignInPage(chrome)
    yield page
    assert page.errors == []


async def browse(act: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(act)


async def test_a_person_signs_in_sees_what_is_his_and_signs_out(scene: Scene, page: SignInPage) -> None:
    mine, other = await scene.order("Ada Lovelace"), await scene.order("Grace Hopper")

    def story() -> None:
        page.driver.get(scene.url)
        page.until(lambda: page.why == "Sign in to see the orders.", "why nothing is shown")
        assert not page.shown(".orders")
        page.sign_in(scene.url, scene.provider.url, "ada")
        assert page.find(".who-name").text == "Ada Lovelace"
        page.until(lambda: page.row(mine), "her order")
        assert page.row(other) is None
        page.fill_form("Ada Lovelace", "Difference engine")
        page.until(lambda: any(row.product == "Difference engine" for row in page.rows), "the new order")
        page.driver.refresh()
        page.until_live()
        page.until(lambda: page.row(mine), "still signed in")

    await browse(story)


async def test_signing_out_ends_the_session_in_every_tab_and_at_the_provider(scene: Scene, page: SignInPage) -> None:
    def story() -> None:
        page.driver.get(scene.url)
        page.sign_in(scene.url, scene.provider.url, "ada")
        [first] = page.driver.window_handles
        page.driver.switch_to.new_window("tab")
        page.driver.get(scene.url)
        page.until_live()
        page.click(".who button")
        page.until(lambda: page.run("return location.href").startswith(scene.provider.url), "the provider")
        page.click("button[name=logout]")
        page.until(lambda: page.why == "Sign in to see the orders.", "signed out")
        page.driver.close()
        page.driver.switch_to.window(first)
        page.until(lambda: page.why == "You have signed out.", "signed out in the other tab too")
        assert not page.shown(".orders, .who")
        page.click(".sign-in-go")
        page.until(lambda: page.shown("button[value=ada]"), "the provider asks again")

    await browse(story)


async def test_a_logout_at_the_provider_cuts_the_page_off(scene: Scene, page: SignInPage) -> None:
    def story() -> None:
        page.driver.get(scene.url)
        page.sign_in(scene.url, scene.provider.url, "clerk")
        [first] = page.driver.window_handles
        page.driver.switch_to.new_window("tab")
        page.driver.get(f"{scene.provider.url}/session/end")
        page.click("button[name=logout]")
        page.until(lambda: "success" in page.run("return location.href"), "signed out at the provider")
        page.driver.close()
        page.driver.switch_to.window(first)
        page.until(lambda: page.why == "You were signed out, or your access was withdrawn.", "cut off, with the reason")
        assert not page.shown(".orders, .who")

    await browse(story)


async def test_a_tab_that_hears_of_a_sign_out_before_its_browser_does_says_so_in_the_end(
    scene: Scene, page: SignInPage
) -> None:
    """Its connection is closed first, and the cookies go with the answer to the tab that signs out."""

    def story() -> None:
        page.driver.get(scene.url)
        page.sign_in(scene.url, scene.provider.url, "ada")
        sign_out_unseen(page, scene.url)
        page.until(lambda: page.why == "You were signed out, or your access was withdrawn.", "cut off")
        assert page.run("return (await fetch('/auth/sign-out', {method: 'POST'})).ok")
        page.until(lambda: page.why == "You have signed out.", "the cookies are gone, too")
        assert not page.shown(".orders, .who")

    await browse(story)


async def test_without_the_right_to_write_there_is_nothing_to_change_anything_with(
    scene: Scene, page: SignInPage
) -> None:
    mine = await scene.order("Grace Hopper")

    def story() -> None:
        page.driver.get(scene.url)
        page.sign_in(scene.url, scene.provider.url, "grace")
        page.until(lambda: page.row(mine), "her order")
        assert not page.shown("#compose, #update-random, #delete-random, tbody .button")
        assert page.run("return [...document.querySelectorAll('tbody select')].every((one) => one.disabled)")
        assert page.run("return (await fetch('/api/orders', {method: 'POST', body: '{}'})).status") == 403

    await browse(story)


async def test_who_may_read_nothing_is_told_so(scene: Scene, page: SignInPage) -> None:
    def story() -> None:
        page.driver.get(scene.url)
        page.until(lambda: page.shown(".sign-in-go"), "the way to sign in")
        page.click(".sign-in-go")
        page.until(lambda: page.run("return location.href").startswith(scene.provider.url), "the provider")
        page.click("button[value=guest]")
        page.until(lambda: page.why.startswith("Gustav Guest, you have no right"), "that he may not see orders")
        assert not page.shown(".orders")
        assert page.shown(".who button")

    await browse(story)


async def test_a_session_is_renewed_before_and_after_its_end_and_nobody_notices(scene: Scene, page: SignInPage) -> None:
    def story() -> str:
        page.driver.get(scene.url)
        page.sign_in(scene.url, scene.provider.url, "clerk")
        session_until(page, 61)
        page.driver.refresh()
        page.until_live()
        page.run(_NOTE_DOUBTS)
        page.until(lambda: page.asked("/auth/renew"), "it is renewed")
        return str(page.run("return (await (await fetch('/auth/session')).json()).expires_in"))

    assert float(await browse(story)) > 3000
    late = await scene.order("Anybody")

    def later() -> None:
        page.until(lambda: page.row(late), "the stream goes on")
        assert page.run("return doubts") == []
        session_until(page, -5)
        page.driver.refresh()
        page.until_live()
        assert page.find(".who-name").text == "Carla Clerk"

    await browse(later)


async def test_the_page_keeps_no_order_that_the_session_may_no_longer_see(scene: Scene, page: SignInPage) -> None:
    mine, other = await scene.order("Ada Lovelace"), await scene.order("Grace Hopper")

    def story() -> None:
        page.driver.get(scene.url)
        page.sign_in(scene.url, scene.provider.url, "clerk")
        page.until(lambda: page.row(mine) and page.row(other), "both orders")
        change_session(page, rights=to_text(frozenset({Filter(customer_name=("Ada Lovelace",))})))

    await browse(story)
    await scene.gateway.restart()

    def later() -> None:
        page.until(lambda: not page.row(other), "it is gone")
        page.until_live()
        assert page.row(mine)
        assert {row.customer for row in page.all_rows} == {"Ada Lovelace"}

    await browse(later)


async def test_without_a_provider_a_token_is_pasted_and_kept_in_memory_only(scene: Scene, page: SignInPage) -> None:
    mine = await scene.order("Ada Lovelace")
    gateway = await scene.product.gateway()
    text = token(rights={"customer_name": "Ada Lovelace"})

    def story() -> None:
        page.driver.get(gateway.url)
        page.until(lambda: page.shown(".sign-in-token"), "the field for a token")
        assert not page.shown(".sign-in-go")
        assert "make token" in page.find(".sign-in-token").text
        for pasted in ("hostile", text):
            page.find("#sign-in-token").send_keys(pasted)
            page.click(".sign-in-token button")
            if pasted == "hostile":
                page.until(lambda: "not valid here" in page.why, "that it is not valid")
        page.until_live()
        page.until(lambda: page.row(mine), "her order")
        assert page.find(".who-name").text == "ada"
        assert text not in str(
            page.run("return [{...localStorage}, {...sessionStorage}, document.cookie, location.href]")
        )
        page.fill_form("Ada Lovelace", "Abacus")
        page.until(lambda: any(row.product == "Abacus" for row in page.rows), "the new order")
        page.driver.refresh()
        page.until(lambda: page.shown(".sign-in-token"), "it is forgotten")

    await browse(story)
    await gateway.stop()


async def test_tabs_of_one_session_share_a_connection_and_one_with_a_token_shares_it_with_none(
    scene: Scene, page: SignInPage
) -> None:
    connections = "orders_gateway_admitted_connections"

    def open_two() -> list[str]:
        page.driver.get(scene.url)
        page.sign_in(scene.url, scene.provider.url, "ada")
        page.driver.switch_to.new_window("tab")
        page.driver.get(scene.url)
        page.until_live()
        return page.driver.window_handles

    def see(handles: list[str], id: str) -> None:
        for handle in handles:
            page.driver.switch_to.window(handle)
            page.until(lambda: page.row(id), "the new order")

    handles = await browse(open_two)
    assert await scene.gateway.metric(connections) == 1
    mine = await scene.order("Ada Lovelace")
    await browse(lambda: see(handles, mine))

    gateway = await scene.product.gateway()

    def with_tokens() -> None:
        for handle, name in zip(handles, ("Ada Lovelace", "Grace Hopper"), strict=True):
            page.driver.switch_to.window(handle)
            page.driver.get(gateway.url)
            page.until(lambda: page.shown(".sign-in-token"), "the field for a token")
            page.find("#sign-in-token").send_keys(token(rights={"customer_name": name}))
            page.click(".sign-in-token button")
            page.until_live()

    await browse(with_tokens)
    assert await gateway.metric(connections) == 2
    hers = await scene.order("Grace Hopper")
    await browse(lambda: see(handles[1:], hers))

    def close_hers() -> list[Row]:
        page.driver.close()
        page.driver.switch_to.window(handles[0])
        return page.rows

    shown = await browse(close_hers)
    assert hers not in {row.id for row in shown}
    await gateway.stop()


async def test_without_auth_the_page_asks_nothing_and_loads_nothing_more(scene: Scene, page: SignInPage) -> None:
    gateway = await scene.product.start("gateway", DRAIN_SECONDS="0.2")

    def story() -> None:
        page.driver.get(gateway.url)
        page.until_live()
        for part in ("/auth/", "identity", "session.js"):
            assert page.asked(part) == []
        assert page.shown("#compose")

    await browse(story)
    await gateway.stop()
