"""A library whose page has a session and no token: what ends the session ends the copy, everywhere by the same word."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from services.gateway.sign_in.seal import Seal
from services.gateway.sign_in.session import Lifespans, PageSessions
from tests.access.browsers import SESSION, Browser, browser
from tests.access.conftest import guarded_on
from tests.access.stand_in_provider import stand_in_provider
from tests.clients.subject import LIBRARIES, Subject, Subjects
from tests.e2e.switch import Switch, switch
from tests.servers import Servers
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

LISTED = "https://shop.example"  # whose pages may use the API, with tokens of their own
SECRET = "what seals the sessions of these tests"
SESSIONS = PageSessions(Seal("session", [SECRET]), Lifespans(3600, 43_200))
OWN = {"Sec-Fetch-Site": "same-origin"}
FOREIGN = {"Origin": LISTED, "Sec-Fetch-Site": "cross-site"}
KINDS: dict[str, dict[str, Any]] = {"whole": {}, "window": {"window": {"limit": 2}}}
MOST_REQUESTS = 5  # over polling: the handshake, CONNECT, its answer, the end; and a write


async def reaches(library: Subject, phase: str) -> None:
    try:
        await until(lambda: library.shown["phase"] == phase, f"it is {phase}")
    except AssertionError as error:
        raise AssertionError(f"{library.name}: {library.views[-4:]}") from error


@dataclass
class Scene:
    """A gateway behind a link that adds what a browser would, somebody who has signed in, and the libraries."""

    page: Browser
    link: Switch
    libraries: list[Subject]

    async def end(self, reason: str) -> None:
        """Wait until all copies have ended for this reason."""
        for each in self.libraries:
            await reaches(each, "ended")
            assert each.shown["reason"] == reason, each.name

    async def refuses_at_once(self, headers: dict[str, str], reason: str, kind: str) -> None:
        """See that each copy ends as it is opened, after a few requests."""
        self.pretend(headers)
        before = self.link.requests
        for each in self.libraries:
            each.open(self.link.url, **KINDS[kind])
        await self.end(reason)
        for each in self.libraries:
            outcome = await each.write({"delete": "a"})
            assert "refused" in outcome or outcome["ended"] == reason, each.name
        assert self.link.requests - before <= MOST_REQUESTS * len(self.libraries)

    def pretend(self, headers: dict[str, str]) -> None:
        self.link.added = "".join(
            f"{name}: {value}\r\n" for name, value in {"Cookie": self.page.cookie, **headers}.items()
        ).encode()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(session_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with (
        stand_in_provider() as provider,
        guarded_on(session_servers, tmp_path_factory.mktemp("sessions")) as product,
        AsyncExitStack() as stack,
    ):
        await product.watcher()
        settings = {"CORS_ORIGINS": LISTED, "TRUSTED_PROXIES": "127.0.0.1", "RECOVERY_SECRET": SECRET}
        gateway = await product.gateway(**provider.settings, **settings)
        page = await stack.enter_async_context(browser(gateway.url))
        link = await stack.enter_async_context(switch(gateway.port))
        subjects = Subjects(stack)
        provider.claims |= {"orders": "*"}
        await page.sign_in(provider)
        yield Scene(page, link, [await subjects.get(name) for name in LIBRARIES])


@pytest.mark.parametrize("kind", KINDS)
async def test_a_page_of_another_origin_is_told_that_a_session_is_not_for_it(scene: Scene, kind: str) -> None:
    await scene.refuses_at_once(FOREIGN, "foreign_page", kind)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_expired_session_lets_nobody_in(scene: Scene, kind: str) -> None:
    session = scene.page.cookies[SESSION]
    ended = msgspec.structs.replace(SESSIONS.read(session), expires_at=int(time.time()) - 1)
    scene.page.cookies[SESSION] = SESSIONS.write(ended)
    try:
        await scene.refuses_at_once(OWN, "token_expired", kind)
    finally:
        scene.page.cookies[SESSION] = session


async def test_whoever_signs_out_ends_the_copies_of_the_session(scene: Scene) -> None:
    scene.pretend(OWN)
    for number, each in enumerate(scene.libraries):
        each.open(scene.link.url, **KINDS["window" if number % 2 else "whole"])
    for each in scene.libraries:
        await reaches(each, "live")
    cookies = dict(scene.page.cookies)
    assert (await scene.page.ask("POST", "/auth/sign-out")).status == 200
    await scene.end("token_revoked")
    scene.page.cookies |= cookies
    for kind in KINDS:
        await scene.refuses_at_once(OWN, "token_revoked", kind)
