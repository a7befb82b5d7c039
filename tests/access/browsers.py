"""A browser as far as sign-in needs one: it keeps cookies, says where its page is from, and follows no redirect."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

import aiohttp

from tests.access.stand_in_provider import StandIn

SESSION = "__Host-orders-session"
SIGN_IN = "__Host-orders-sign-in"
SIGNED_IN = "__Host-orders-signed-in"


@dataclass
class Answer:
    """The answer to one request."""

    status: int
    headers: Mapping[str, str]
    text: str
    json: Any


@dataclass
class Browser:
    """One browser with a page of the gateway's."""

    http: aiohttp.ClientSession
    url: str
    cookies: dict[str, str] = field(default_factory=dict)
    set: list[str] = field(default_factory=list)  # the raw Set-Cookie lines

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def same_origin(self, method: str) -> dict[str, str]:
        """Return what a browser says of a request that its page makes."""
        return {"Sec-Fetch-Site": "same-origin", **({} if method in {"GET", "HEAD"} else {"Origin": self.url})}

    async def ask(self, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any) -> Answer:
        """Make a request; without ``headers`` it is one of the page's own."""
        sent = self.same_origin(method) if headers is None else headers
        if self.cookies:
            sent = {"Cookie": self.cookie, **sent}
        async with self.http.request(method, self.url + path, headers=sent, allow_redirects=False, **more) as response:
            self.set = response.headers.getall("Set-Cookie", [])
            for line in self.set:
                for name, morsel in SimpleCookie(line).items():
                    if morsel["max-age"] == "0":
                        self.cookies.pop(name, None)
                    else:
                        self.cookies[name] = morsel.value
            text = await response.text()
            kind = response.content_type
            return Answer(response.status, response.headers, text, await response.json() if "json" in kind else None)

    async def to_provider(self, to: str = "/") -> str:
        """Begin to sign in, and return the provider's address."""
        answer = await self.ask("GET", f"/auth/sign-in?{urlencode({'to': to})}", headers={})
        assert answer.status == 302, answer.text
        return answer.headers["Location"]

    async def back(self, parameters: Mapping[str, str]) -> Answer:
        """Come back from the provider: a navigation from another site."""
        headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        return await self.ask("GET", f"/auth/callback?{urlencode(parameters)}", headers=headers)

    async def sign_in(self, provider: StandIn, to: str = "/") -> Answer:
        """Sign in without a mistake."""
        answer = await self.back(provider.authorize(await self.to_provider(to)))
        assert answer.status == 303, answer.text
        return answer


@asynccontextmanager
async def browser(url: str, address: str | None = None) -> AsyncIterator[Browser]:
    """Give a browser, on another address than this machine's usual one if ``address`` says so."""
    connector = aiohttp.TCPConnector(local_addr=None if address is None else (address, 0))
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as http:
        yield Browser(http, url)
