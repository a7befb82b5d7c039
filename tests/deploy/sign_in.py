"""The rows of the compose stack in which clients need a right: people sign in at the page, programs have tokens."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from tests.access.browsers import SESSION
from tests.access.sign_in_page import SignInPage
from tests.access.tokens import bearer
from tests.deploy.audience import ROOT
from tests.deploy.running_stack import PROJECT, RunningStack, docker, require
from tests.web.browser import DESKTOP, chromium

_ORDERS = {"Ada Lovelace": "hers", "Grace Hopper": "another's"}


def documented(after: str) -> dict[str, str]:
    """Return the settings that docs/security.md names below this text."""
    text = (ROOT / "docs" / "security.md").read_text("utf-8").partition(after)[2]
    found = re.search(r"(?:^    \w+=.*\n)+", text, re.MULTILINE)
    assert found
    return dict(line.strip().split("=", 1) for line in found[0].splitlines())


async def sign_in(stack: RunningStack) -> str:
    """Let a person sign in, see what is hers, and sign out; then let the provider end a session."""
    await _make_orders(stack)
    settings = documented("A provider for trying it is in the profile")
    async with stack.configured(COMPOSE_PROFILES="sign-in", **settings):
        with TemporaryDirectory(prefix="orders-profile-") as profile:
            url = stack.url.replace("127.0.0.1", "localhost")
            return await asyncio.to_thread(_browse, Path(profile), url, settings["OIDC_ISSUER"])


def _browse(profile: Path, url: str, provider: str) -> str:
    with chromium(profile, DESKTOP) as driver:
        page = SignInPage(driver)
        driver.get(url)
        page.sign_in(url, provider, "ada")
        page.until(lambda: {row.customer for row in page.rows} == {"Ada Lovelace"}, "her orders and no others")
        page.fill_form("Ada Lovelace", "Difference engine")
        page.until(lambda: any(row.product == "Difference engine" for row in page.rows), "a write with the cookie")
        kept = page.cookies[SESSION]
        attributes = {name: kept[name] for name in ("httpOnly", "secure", "sameSite", "path", "domain")}
        wanted = {"httpOnly": True, "secure": True, "sameSite": "Lax", "path": "/", "domain": "localhost"}
        require(attributes == wanted, f"the session's cookie: {attributes}")
        page.click(".who button")
        page.until(lambda: page.run("return location.href").startswith(provider), "the provider")
        page.click("button[name=logout]")
        page.until(lambda: page.why == "Sign in to see the orders.", "signed out")
        require(SESSION not in page.cookies, "the cookie is gone")

        page.sign_in(url, provider, "clerk")
        [first] = driver.window_handles
        driver.switch_to.new_window("tab")
        driver.get(f"{provider}/session/end")
        page.click("button[name=logout]")
        page.until(lambda: "success" in page.run("return location.href"), "signed out at the provider")
        driver.switch_to.window(first)
        page.until(lambda: page.why.startswith("You were signed out"), "the provider has told the gateways")
        return "signed in and out, here and at the provider"


async def tokens(stack: RunningStack) -> str:
    """Let programs in with the tokens of an issuer, whose keys the gateways fetch."""
    await _make_orders(stack)
    key = ec.generate_private_key(ec.SECP256R1())
    async with _published(key) as address:
        settings = {**documented("With compose, three lines in"), "JWT_JWKS": address}
        async with stack.configured(AUTH="jwt", **settings), aiohttp.ClientSession() as http:
            now = int(time.time())
            claims = {"sub": "ada", "scope": "orders:read", "iat": now, "exp": now + 300}
            claims |= {"iss": settings["JWT_ISSUER"], "aud": settings["JWT_AUDIENCE"]}
            claims["rights"] = {"customer_name": ["Ada Lovelace"]}
            good = jwt.encode(claims, key, "ES256", headers={"kid": "one"})
            other = ec.generate_private_key(ec.SECP256R1())
            forged = jwt.encode(claims, other, "ES256", headers={"kid": "one"})
            for headers, wanted in (({}, 401), (bearer(forged), 401), (bearer(good), 200)):
                async with http.get(f"{stack.url}/api/orders", headers=headers) as response:
                    require(response.status == wanted, f"GET /api/orders: {response.status} and not {wanted}")
                    body = await response.json()
            require({order["customer_name"] for order in body} == {"Ada Lovelace"}, f"her orders and no others: {body}")
    return "401 without a token and with a forged one; with a good one the orders of its rights"


async def _make_orders(stack: RunningStack) -> None:
    async with aiohttp.ClientSession() as http:
        for customer, product in _ORDERS.items():
            order = {"customer_name": customer, "product_name": product, "status": "pending"}
            async with http.post(f"{stack.url}/api/orders", json=order) as response:
                require(response.status == 201, f"POST: {response.status}")


@asynccontextmanager
async def _published(key: ec.EllipticCurvePrivateKey) -> AsyncIterator[str]:
    """Serve the key on this machine, and give its address for containers."""
    jwk = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    app = web.Application()

    async def keys(_: web.Request) -> web.Response:
        return web.json_response({"keys": [{**jwk, "kid": "one", "use": "sig"}]})

    app.router.add_get("/keys", keys)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        host = await docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", f"{PROJECT}_edge")
        await web.TCPSite(runner, host.strip(), 0).start()
        yield f"http://{host.strip()}:{runner.addresses[0][1]}/keys"
    finally:
        await runner.cleanup()
