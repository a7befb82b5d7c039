"""TLS and HTTP/2 at the load balancer, as stock clients use them."""

import asyncio
import secrets
import ssl
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
import socketio

from tests.certificates import make_certificates
from tests.deploy.audience import audience
from tests.deploy.balanced import balanced_stack
from tests.deploy.orders import create
from tests.deploy.stand_ins import stand_ins
from tests.servers import Servers, unused_database, with_database
from tests.waiting import HANGS, until
from tests.web.browser import DESKTOP, Page, chromium

STREAMS = 8  # a browser opens six connections of HTTP/1.1 to a host


async def curl(*arguments: str | Path) -> str:
    process = await asyncio.create_subprocess_exec(
        "curl", "--silent", "--show-error", *map(str, arguments), stdout=asyncio.subprocess.PIPE
    )
    return (await process.communicate())[0].decode()


@pytest.mark.parametrize(("version", "spoken"), [("--http2", "2"), ("--http1.1", "1.1")])
async def test_curl_speaks_both_versions_and_users_keep_their_address(
    tmp_path: Path, version: str, spoken: str
) -> None:
    made = make_certificates(tmp_path)
    async with stand_ins(tmp_path, certificate=made.both, proxies=["127.0.0.1"]) as balanced:
        said = await curl(
            *("--cacert", made.authority, version, "--write-out", " %{http_version}"),
            *("--header", "X-Forwarded-For: 203.0.113.7", f"{balanced.url}/api/orders/a%2Fb"),
        )
        assert said.endswith(f" {spoken}")
        assert '"X-Forwarded-For": ["203.0.113.7"], "X-Forwarded-Proto": ["https"]' in said
        assert balanced.gateways[0].seen == [("GET", "/api/orders/a%2Fb")]


async def test_old_versions_of_tls_and_plain_text_are_not_served(tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    async with stand_ins(tmp_path, certificate=made.both) as balanced:
        for arguments in (("--tls-max", "1.1", balanced.url), (balanced.url.replace("https:", "http:"),)):
            said = await curl("--max-time", "5", "--cacert", made.authority, *arguments)
            assert "gateway" not in said
        assert balanced.gateways[0].seen == []


async def test_stock_clients_and_a_browser_follow_changes_over_tls(
    tmp_path: Path, session_servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_certificates(tmp_path)
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", str(made.authority))
    settings = {
        "MONGODB_URI": with_database(session_servers.mongodb_uri, f"test_{secrets.token_hex(6)}"),
        "REDIS_URL": await unused_database(session_servers.redis_url),
        "TRUSTED_PROXIES": "127.0.0.0/8",
    }
    context = ssl.create_default_context(cafile=str(made.authority))
    async with (
        balanced_stack(tmp_path, settings, gateways=2, tls=made.both) as stack,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as http,
    ):
        transports = {"polling": ["polling"], "websocket": ["websocket"], "upgrade": ["polling", "websocket"]}
        told: list[str] = []
        python = socketio.AsyncClient(http_session=http, request_timeout=HANGS)
        python.on("orderUpdate", lambda change, *_: told.append(change["id"]))
        await python.connect(stack.url, wait_timeout=HANGS)
        async with audience(stack.url, transports) as crowd:
            order = await create(http, stack.url, 1)
            await crowd.until_all_have([order])
            await until(lambda: told == [order], "python-socketio has it, too")
        await python.disconnect()
        loop = asyncio.get_running_loop()

        def connections() -> int:
            return asyncio.run_coroutine_threadsafe(stack.front.info("CurrConns"), loop).result(HANGS)

        await asyncio.to_thread(browse, tmp_path / "profile", stack.url, connections)


def browse(profile: Path, url: str, connections: Callable[[], int]) -> None:
    """The page, a websocket and more streams than six, all of them on one connection of HTTP/2."""
    before = connections()
    with chromium(profile, DESKTOP, more=["--ignore-certificate-errors"]) as driver:
        page = Page(driver)
        driver.get(url)
        page.until_live()
        opened = f"""
            window.streams = Array.from({{ length: {STREAMS} }}, () => new EventSource("/api/orders/events"));
            return performance.getEntriesByType("navigation")[0].nextHopProtocol;
        """
        assert page.run(opened) == "h2"
        page.until(
            lambda: page.run("return window.streams.every(({ readyState }) => readyState === EventSource.OPEN)"),
            f"{STREAMS} streams are open",
        )
        page.until(lambda: connections() - before <= 1, "all of it is on one connection")
