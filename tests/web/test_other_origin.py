"""A page of another origin, which CORS_ORIGINS lists, uses every transport with credentials of its own."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from services.embedded import ports
from tests.web.browser import Page
from tests.web.conftest import OpenPage, StartStack

_PAGE = """<!doctype html><title>another origin</title><link rel="icon" href="data:,">
<script src="%(gateway)s/socket.io/socket.io.min.js"></script>
<script>
  const gateway = "%(gateway)s";
  const headers = { Authorization: "Bearer mine" };
  window.seen = { polling: [], websocket: [], sse: [], refused: [] };
  for (const transport of ["polling", "websocket"]) {
    const socket = io(gateway, { transports: [transport], extraHeaders: headers });
    socket.on("orderUpdate", ({ id }) => seen[transport].push(id));
    socket.on("connect_error", (error) => seen.refused.push(`${transport}: ${error.message}`));
    socket.on("connect", () => (seen[`${transport} is open`] = true));
  }
  async function follow() {
    const response = await fetch(`${gateway}/api/orders/events`, { headers: { ...headers, "Last-Event-ID": "" } });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      text += (await reader.read()).value;
      seen["sse is open"] = text.includes("event: connected");
      seen.sse = [...text.matchAll(/"operation":"[A-Z]+","id":"([^"]+)"/g)].map((match) => match[1]);
    }
  }
  follow().catch((error) => seen.refused.push(`sse: ${error}`));
  window.create = async () => {
    const body = JSON.stringify({ customer_name: "Ada", product_name: "Laptop" });
    const sent = { ...headers, "Content-Type": "application/json", "Idempotency-Key": "1" };
    const response = await fetch(`${gateway}/api/orders`, { method: "POST", headers: sent, body });
    return [(await response.json())._id, response.headers.get("Stream-Cursor"), response.headers.get("Location")];
  };
</script>"""


@pytest.fixture
async def elsewhere() -> AsyncIterator[tuple[str, dict[str, str]]]:
    """Serve a page of another origin; what is put into the dictionary as ``gateway`` is the server that it uses."""
    uses: dict[str, str] = {}

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=_PAGE % uses, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    port = ports.free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://127.0.0.1:{port}", uses
    await runner.cleanup()


async def test_a_listed_origin_may_send_authorization_over_every_transport(
    start_stack: StartStack, open_page: OpenPage, elsewhere: tuple[str, dict[str, str]]
) -> None:
    origin, uses = elsewhere
    stack = await start_stack({"CORS_ORIGINS": origin})
    uses["gateway"] = stack.url

    def browse() -> tuple[list[Any], dict[str, Any]]:
        page: Page = open_page(origin)
        transports = ("polling", "websocket", "sse")
        page.until(lambda: all(page.run(f"return seen['{one} is open']") for one in transports), "all are connected")
        created = page.run("return create()")
        page.until(lambda: all(created[0] in page.run(f"return seen['{one}']") for one in transports), "all are told")
        return created, page.run("return seen")

    created, seen = await asyncio.to_thread(browse)
    assert all(created), "the page may read the headers that it needs"
    assert seen["refused"] == []
    assert seen["polling"] == seen["websocket"] == seen["sse"] == [created[0]]
