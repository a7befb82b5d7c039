"""A connection that is taken away from aiohttp: it works, and nothing of aiohttp is left of it."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import pytest
import uvloop
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from services.front.connections import State
from services.front.handover import Successor
from services.gateway.edge.connection_watch import ConnectionWatch
from services.gateway.edge.takeover import AlreadyAnswered, take_over
from tests.waiting import HANGS, until

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class UpperCaseEcho(Successor):
    """Echoes in upper case."""

    state = State.WEBSOCKET

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(b"mine now\n")

    def data_received(self, data: bytes) -> None:
        self.transport.write(data.upper())


@asynccontextmanager
async def serving(handler: Handler, **options: Any) -> AsyncIterator[tuple[int, web.AppRunner]]:
    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app, keepalive_timeout=0.1, **options)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1], runner
    finally:
        await runner.cleanup()


async def taken(request: web.Request) -> web.StreamResponse:
    transport = take_over(request, UpperCaseEcho())
    await asyncio.sleep(0.01)  # the handler may go on for a while, and is not cancelled
    assert transport is not None
    transport.write(b"still handling\n")
    return AlreadyAnswered(101)


REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


def run(scenario: Awaitable[None], loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Run on the given loop, whichever the tests run on."""

    async def bounded() -> None:
        async with asyncio.timeout(HANGS):
            await scenario

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(bounded())


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("cancelling", [False, True])
@pytest.mark.parametrize("tail", [b"", b"early", b"x" * 200_000])
def test_the_new_owner_has_the_connection_and_aiohttp_has_nothing(
    loop: Callable[[], asyncio.AbstractEventLoop], *, cancelling: bool, tail: bytes
) -> None:
    async def scenario() -> None:
        async with serving(taken, handler_cancellation=cancelling) as (port, runner):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(REQUEST + tail)
            assert await reader.readline() == b"mine now\n"
            assert sorted(await reader.readexactly(len(tail) + 15)) == sorted(tail.upper() + b"still handling\n")
            await asyncio.sleep(0.15)  # longer than aiohttp keeps a connection alive that it thinks is idle
            writer.write(b"later")
            assert await reader.readexactly(5) == b"LATER"
            assert runner.server is not None
            assert runner.server.connections == []
            assert [task for task in asyncio.all_tasks() if "aiohttp" in repr(task)] == []
            gc.collect()
            assert [thing for thing in gc.get_objects() if isinstance(thing, (RequestHandler, web.Request))] == []
            writer.close()
            await writer.wait_closed()

    run(scenario(), loop)


def test_a_client_that_has_gone_is_not_taken_over() -> None:
    async def scenario() -> None:
        begun, result = asyncio.Event(), asyncio.get_running_loop().create_future()

        async def handler(request: web.Request) -> web.StreamResponse:
            begun.set()
            await until(lambda: request.transport is None, "the client has gone")
            result.set_result(take_over(request, UpperCaseEcho()))
            return web.Response()

        async with serving(handler) as (port, _):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(REQUEST)
            await begun.wait()
            writer.close()
            assert await result is None

    run(scenario(), asyncio.new_event_loop)


def test_an_owner_that_fails_at_once_does_not_leave_the_connection_open() -> None:
    class Broken(Successor):
        state = State.WEBSOCKET

        def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: ARG002
            raise OSError("broken")

    async def handler(request: web.Request) -> web.StreamResponse:
        with pytest.raises(OSError, match="broken"):
            take_over(request, Broken())
        return AlreadyAnswered(101)

    async def scenario() -> None:
        async with serving(handler) as (port, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(REQUEST)
            with suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()

    run(scenario(), asyncio.new_event_loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_watch_tells_that_the_client_has_gone_and_leaves_no_trace_otherwise(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def scenario() -> None:
        begun, lost, answer = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def handler(request: web.Request) -> web.StreamResponse:
            with ConnectionWatch(request, lost.set):
                begun.set()
                await answer.wait()
            return web.Response(text="done")

        async with serving(handler) as (port, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for _ in range(2):
                writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                asyncio.get_running_loop().call_later(0.05, answer.set)
                assert (await reader.readuntil(b"done")).startswith(b"HTTP/1.1 200")
                answer.clear()
                begun.clear()
            assert not lost.is_set()
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await begun.wait()
            writer.close()
            await lost.wait()
            answer.set()

    run(scenario(), loop)
