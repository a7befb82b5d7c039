"""Sign-in over https, as the internet sees it: Chromium, the real load balancer with TLS, two gateways, a provider."""

import asyncio
import secrets
from pathlib import Path

from services.commands.setup_db import setup
from services.embedded.ports import free_port
from tests.access.browsers import SESSION, SIGNED_IN
from tests.access.provider_process import ProviderProcess
from tests.access.sign_in_page import SignInPage
from tests.certificates import make_certificates
from tests.deploy.balanced import balanced_stack
from tests.servers import Servers, unused_database, with_database
from tests.web.browser import DESKTOP, chromium

NAME = "orders.example"  # not localhost, which browsers trust as if it had https
_ATTRIBUTES = ("secure", "sameSite", "path", "domain", "httpOnly")


async def test_the_session_is_a_cookie_that_only_https_and_this_host_ever_see(
    tmp_path: Path, session_servers: Servers
) -> None:
    front, made = free_port(), make_certificates(tmp_path)
    url = f"https://{NAME}:{front}"
    uri = with_database(session_servers.mongodb_uri, f"test_{secrets.token_hex(6)}")
    await asyncio.to_thread(lambda: list(setup(uri)))
    async with ProviderProcess(page=url, folder=tmp_path) as provider:
        settings = {
            "MONGODB_URI": uri,
            "REDIS_URL": await unused_database(session_servers.redis_url),
            "TRUSTED_PROXIES": "127.0.0.0/8",
            "ALLOWED_HOSTS": NAME,
            "AUTH": "jwt",
            **provider.settings,
        }
        async with balanced_stack(tmp_path, settings, gateways=2, tls=made.both, at=front) as stack:
            bare = f"http://{NAME}:{stack.gateways[0].port}"
            await asyncio.to_thread(browse, tmp_path / "profile", url, provider.url, bare)


def browse(profile: Path, url: str, provider: str, bare: str) -> None:
    resolve = f"--host-resolver-rules=MAP {NAME}:{bare.rpartition(':')[2]} 127.0.0.10, MAP {NAME} 127.0.0.1"
    with chromium(profile, DESKTOP, more=["--ignore-certificate-errors", resolve]) as driver:
        page = SignInPage(driver)
        driver.get(url)
        page.sign_in(url, provider, "ada")
        kept = page.cookies
        shared = {"secure": True, "sameSite": "Lax", "path": "/", "domain": NAME}
        assert {name: {key: kept[name][key] for key in _ATTRIBUTES} for name in (SESSION, SIGNED_IN)} == {
            SESSION: {**shared, "httpOnly": True},
            SIGNED_IN: {**shared, "httpOnly": False},
        }
        assert page.run("return document.cookie") == f"{SIGNED_IN}=1", "no script of the page sees the session"
        page.fill_form("Ada Lovelace", "Difference engine")
        page.until(lambda: [row.product for row in page.rows] == ["Difference engine"], "a write with the cookie")
        assert page.run("return (await fetch('/api/orders')).status") == 200

        driver.get(f"{bare}/api/orders")
        assert "401" in driver.page_source, "over http the browser does not send it"

        driver.get(url)
        page.until_live()
        page.click(".who button")
        page.until(lambda: page.run("return location.href").startswith(provider), "the provider")
        page.click("button[name=logout]")
        page.until(lambda: page.why == "Sign in to see the orders.", "signed out")
        assert not {SESSION, SIGNED_IN} & page.cookies.keys()
        assert page.errors == []
