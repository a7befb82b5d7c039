"""The gateway's HTTP and Socket.IO on a loop of its own that measures its turns, in a separate thread."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median
from threading import Thread

from aiohttp import web

from services.common.process import tune_gc
from services.front.bodies import drain_unread_body, refuse_encoded
from services.front.checks import checking
from services.front.connections import ConnectionBounds, Connections
from services.front.front import Front
from services.front.runner import Runner
from services.gateway.edge.fast_path import websocket_fast_path
from services.gateway.engineio.settings import EngineSettings
from services.gateway.http.errors import answer_errors
from services.gateway.http.rest import OrdersApi
from services.gateway.socketio.server import SocketServer
from services.gateway.store import OrderStore
from tests.conformance.server import Echo
from tests.waiting import HANGS


class MeasuredLoop(asyncio.SelectorEventLoop):
    """Remembers its longest turn, in seconds of its own thread's CPU: other load on the machine is not counted."""

    longest = 0.0

    def _run_once(self) -> None:
        begin = time.thread_time()
        super()._run_once()  # type: ignore[misc]  # asyncio's own, once for each turn
        self.longest = max(self.longest, time.thread_time() - begin)


@dataclass
class Measured:
    """A running server."""

    port: int
    loop: MeasuredLoop

    def longest_turn(self) -> float:
        """Return the longest turn since the last call, in seconds of CPU that is as fast as usual."""
        longest, self.loop.longest = self.loop.longest, 0.0
        return longest / slowness()


# CPU seconds of `slowness` on the machines that bounds were set on. Where the second thread of a core is busy, or
# others have the caches, the same work takes up to twice as long.
_USUAL = 0.007


def slowness() -> float:
    """Return how many times as long as usual this machine takes just now for some work; at least 1."""
    return max(1.0, median(_seconds_of_some_work() for _ in range(3)) / _USUAL)


def _seconds_of_some_work() -> float:
    began, total = time.thread_time(), 0
    for number in range(100_000):
        total += number * number % 7
    return time.thread_time() - began


@asynccontextmanager
async def measured_server(uri: str, settings: EngineSettings) -> AsyncIterator[Measured]:
    """Serve the orders of a database, and a Socket.IO that echoes."""
    here = asyncio.get_running_loop()
    ready: asyncio.Future[Measured] = here.create_future()
    stop = asyncio.Event()
    loop = MeasuredLoop()

    async def serve() -> None:
        async with OrderStore.open(uri) as store:
            app = web.Application(middlewares=[drain_unread_body, answer_errors, checking(refuse_encoded)])
            app.add_routes(OrdersApi(store, lambda: "e1").routes())
            sockets = SocketServer({"/": Echo()}, settings)
            sockets.attach(app)
            runner = Runner(app)
            await runner.setup()
            assert runner.server is not None
            places = Connections(
                ConnectionBounds(total=1000, per_address=1000, last_descriptor=1_000_000), lambda _: None
            )
            async with Front(runner.server, places, websocket_fast_path(sockets.open)).listening(
                "127.0.0.1", 0
            ) as port:
                here.call_soon_threadsafe(ready.set_result, Measured(port, loop))
                await stop.wait()
                await sockets.close()
            await runner.cleanup()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thresholds = gc.get_threshold()
    tune_gc()  # as a gateway does, for a collection is work of the loop; the tests' own objects are out of its way
    thread = Thread(target=run)
    thread.start()
    try:
        yield await asyncio.wait_for(ready, HANGS)
    finally:
        loop.call_soon_threadsafe(stop.set)
        await asyncio.to_thread(thread.join)
        gc.set_threshold(*thresholds)
