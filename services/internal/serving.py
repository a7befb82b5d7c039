"""Serves an application to the operators of a service, on a port that needs few connections."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from services.front.connections import ConnectionBounds, ConnectionRefusal, Connections
from services.front.descriptors import RESERVE, allow_descriptors, last_for_connections
from services.front.front import KEEPALIVE_SECONDS, Front
from services.front.runner import Runner

MOST = 64


def few_connections(count: Callable[[ConnectionRefusal], None]) -> Connections:
    """Return the few connections that such a port needs: probes, Prometheus, some people with curl."""
    last = last_for_connections(allow_descriptors(MOST + 2 * RESERVE))
    return Connections(ConnectionBounds(total=MOST, per_address=MOST, last_descriptor=last), count)


@asynccontextmanager
async def serving(app: web.Application, connections: Connections, host: str, port: int) -> AsyncIterator[int]:
    """Serve the application; yield the port. Raise OSError when it is taken."""
    runner = Runner(app, keepalive_timeout=KEEPALIVE_SECONDS, shutdown_timeout=1, tcp_keepalive=False)
    await runner.setup()
    try:
        if runner.server is None:
            raise RuntimeError("the runner is not set up")
        async with Front(runner.server, connections).listening(host, port) as chosen:
            yield chosen
    finally:
        await runner.cleanup()
