"""Gateways that do as a test says, behind the project's load balancer."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from services.embedded.ports import free_port
from services.front.bodies import LONGEST_TARGET
from tests.deploy.haproxy import HAProxy
from tests.deploy.name_server import name_server

CHECKS = {"/healthz": "alive", "/readyz": "ready", "/readyz/stream": "takes_streams"}


@dataclass(eq=False)
class StandIn:
    """A gateway at an address of its own. It answers with its name and the request's headers.

    `/held` is answered when the test releases it, `/silent` never, `/broken` by closing the connection, and
    `/socket.io/` by 101 where a websocket is asked for, after which it returns what it gets.
    """

    address: str
    port: int
    alive: bool = True
    ready: bool = True
    takes_streams: bool = True
    frozen: bool = False  # accepts, and answers nothing
    status: int = 200
    release: asyncio.Event = field(default_factory=asyncio.Event)
    seen: list[tuple[str, str]] = field(default_factory=list)  # method and target of each request, checks apart
    checks: int = 0
    websockets: int = 0

    @property
    def name(self) -> str:
        return f"gateway-{self.address.rpartition('.')[2]}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if self.frozen:
            await asyncio.Event().wait()
        if request.path in CHECKS:
            self.checks += 1
            return web.Response(status=200 if getattr(self, CHECKS[request.path]) else 503)
        self.seen.append((request.method, request.raw_path))
        match request.path:
            case "/held":
                await self.release.wait()
            case "/silent":
                await asyncio.Event().wait()
            case "/broken":
                assert request.transport is not None
                request.transport.abort()
            case "/socket.io/" if "Upgrade" in request.headers and self.status == 200:
                return await self._echo(request)
            case "/api/orders/events" if self.status == 200:
                return await self._stream(request)
        await request.read()
        names = ("X-Forwarded-For", "X-Forwarded-Proto", "Host")
        told = {name: request.headers.getall(name, []) for name in names}
        link = {"Link": f'<{request.raw_path}>; rel="next"'}
        return web.json_response({"gateway": self.name, **told}, status=self.status, headers=link)

    async def _echo(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.websockets += 1
        async for message in socket:
            await socket.send_str(message.data)
        return socket

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        await stream.write(f"data: {self.name}\n\n".encode())
        await self.release.wait()
        await stream.write(b"data: released\n\n")
        return stream

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1, max_line_size=LONGEST_TARGET, handler_cancellation=True)
        await runner.setup()
        try:
            await web.TCPSite(runner, self.address, self.port).start()
            yield
        finally:
            self.release.set()
            await runner.cleanup()


@dataclass
class Balanced:
    """A load balancer, the gateways behind it, and what DNS says: addresses by name, and how often it was asked."""

    front: HAProxy
    gateways: Sequence[StandIn]
    names: dict[str, list[str]]
    asked: Counter[str]

    @property
    def url(self) -> str:
        return self.front.url


@asynccontextmanager
async def stand_ins(
    folder: Path,
    count: int = 1,
    *,
    proxies: Sequence[str] = (),
    smaller: Mapping[str, str] | None = None,
    certificate: Path | None = None,
    prepare: Callable[[Sequence[StandIn]], None] = lambda _: None,
) -> AsyncIterator[Balanced]:
    """Start so many gateways and the load balancer; it has checked all of them when this begins."""
    port = free_port()
    gateways = [StandIn(f"127.0.0.{10 + number}", port) for number in range(count)]
    prepare(gateways)
    names = {"gateway": [one.address for one in gateways], **{one.name: [one.address] for one in gateways}}
    asked: Counter[str] = Counter()

    def addresses(name: str) -> list[str]:
        asked[name] += 1
        return names.get(name, [])

    async with AsyncExitStack() as stack:
        for one in gateways:
            await stack.enter_async_context(one.listening())
        resolver = await stack.enter_async_context(name_server(addresses))
        front = HAProxy(
            folder=folder,
            gateway_port=port,
            resolver_port=resolver,
            proxies=proxies,
            smaller=smaller or {},
            certificate=certificate,
        )
        await stack.enter_async_context(front)
        yield Balanced(front, gateways, names, asked)
