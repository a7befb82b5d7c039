"""What a program is told where a copy cannot go on: it never just waits."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from live_orders import LiveOrders, Phase, Refused
from tests.clients.subject import subject
from tests.e2e.conftest import Product, product
from tests.waiting import until

__all__ = ["product"]  # a fixture

NODE = Path(__file__).with_name("ends.mjs")
GARBLED = b"event: connected\nid: e.1-0\ndata: {\n\n"


@pytest.fixture
async def garbling() -> AsyncIterator[str]:
    """The URL of a server whose events are not JSON, which no program foresees."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(GARBLED)
        return response

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("library", ["python", "js"])
async def test_an_error_that_nobody_foresaw_ends_the_copy(garbling: str, library: str) -> None:
    async with subject(library) as tested:
        tested.open(garbling)
        await until(lambda: tested.shown["phase"] == "ended", "it has ended")
        assert "JSON" in tested.shown["reason"] or "Expecting" in tested.shown["reason"]
        assert tested.process.returncode is None


async def test_views_end_with_the_copy(product: Product) -> None:
    await product.watcher()
    gateway = await product.gateway()
    await product.orders.insert_one({"_id": "a"})
    async with LiveOrders(gateway.url, status="lost") as orders, asyncio.timeout(30):
        views = [view async for view in orders.watch()]
        with pytest.raises(Refused, match="status"):
            await orders.live()
    assert views[-1].status.phase is Phase.ENDED
    assert "status" in (views[-1].status.reason or "")


async def test_the_javascript_library_says_what_has_ended_the_copy(product: Product) -> None:
    await product.watcher()
    gateway = await product.gateway()
    run = [*map(str, ("node", NODE, gateway.url))]
    done = await asyncio.to_thread(subprocess.run, run, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["Refused", "422", "status"], done.stdout


async def test_a_listener_can_be_ended_twice() -> None:
    async with LiveOrders("http://127.0.0.1:9") as orders:
        end = orders.subscribe(lambda _: None)
        end()
        end()
